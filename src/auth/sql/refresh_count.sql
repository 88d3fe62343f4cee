-- refresh_count(session_id uuid, counter bigint, user_agent text?, ip inet?) -> (session_id uuid)
-- A token of version 2 is spent by counting; no row: the user was banned or deleted since it was read.
update auth.sessions s
set refresh_token_counter = $2, refreshed_at = now() at time zone 'utc', updated_at = now(), user_agent = $3, ip = $4
from auth.users u
where s.id = $1 and u.id = s.user_id and u.deleted_at is null and (u.banned_until is null or u.banned_until <= now())
returning s.id
