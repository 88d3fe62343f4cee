-- clean_sessions() -> ()
delete from auth.sessions where id in (
    select id from auth.sessions
    where not_after < now() - interval '72 hours'
    limit 100 for update skip locked)
