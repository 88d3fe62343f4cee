-- session_list(user_id uuid, timebox_us bigint, inactivity_us bigint) -> (id uuid, created_at timestamptz?,
--   refreshed_at timestamptz?, not_after timestamptz?, user_agent text?, ip text?, aal text, tag text?)
-- Those that can still be refreshed, the one used last first. Who has more than 200 ends them all at once.
select
    s.id, s.created_at, s.refreshed_at at time zone 'utc', s.not_after, s.user_agent, host(s.ip),
    coalesce(s.aal::text, 'aal1'), s.tag
from auth.sessions s
where s.user_id = $1
    and (s.not_after is null or s.not_after > now())
    and ($2 = 0 or s.created_at + $2 * interval '1 microsecond' > now())
    and ($3 = 0 or coalesce(s.refreshed_at at time zone 'utc', s.created_at) + $3 * interval '1 microsecond' > now())
order by coalesce(s.refreshed_at at time zone 'utc', s.created_at) desc, s.id
limit 200
