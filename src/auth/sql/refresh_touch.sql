-- refresh_touch(session_id uuid, user_agent text?, ip inet?) -> (session_id uuid)
-- The active token is given out again; no row: the user was banned or deleted since it was read.
update auth.sessions s
set refreshed_at = now() at time zone 'utc', updated_at = now(), user_agent = $2, ip = $3
from auth.users u
where s.id = $1 and u.id = s.user_id and u.deleted_at is null and (u.banned_until is null or u.banned_until <= now())
returning s.id
