-- clean_inactive(inactivity_us bigint) -> ()
delete from auth.sessions where id in (
    select id from auth.sessions
    where coalesce(refreshed_at at time zone 'UTC', created_at) < now() - $1 * interval '1 microsecond' - interval '24 hours'
    limit 100 for update skip locked)
