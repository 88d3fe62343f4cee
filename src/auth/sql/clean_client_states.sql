-- clean_client_states() -> ()
delete from auth.oauth_client_states where id in (
    select id from auth.oauth_client_states
    where created_at < now() - interval '24 hours'
    limit 100 for update skip locked)
