-- clean_factors() -> ()
delete from auth.mfa_factors where id in (
    select id from auth.mfa_factors
    where status = 'unverified' and created_at < now() - interval '24 hours'
    limit 100 for update skip locked)
