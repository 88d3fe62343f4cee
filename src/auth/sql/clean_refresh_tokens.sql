-- clean_refresh_tokens() -> ()
delete from auth.refresh_tokens where id in (
    select id from auth.refresh_tokens
    where revoked and updated_at < now() - interval '24 hours'
    limit 100 for update skip locked)
