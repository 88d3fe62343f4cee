-- clean_challenges() -> ()
delete from auth.mfa_challenges where id in (
    select id from auth.mfa_challenges
    where created_at < now() - interval '24 hours'
    limit 100 for update skip locked)
