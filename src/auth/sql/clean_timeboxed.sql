-- clean_timeboxed(timebox_us bigint) -> ()
delete from auth.sessions where id in (
    select id from auth.sessions
    where created_at < now() - $1 * interval '1 microsecond' - interval '24 hours'
    limit 100 for update skip locked)
