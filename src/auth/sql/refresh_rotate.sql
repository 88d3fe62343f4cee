-- refresh_rotate(token_id bigint, new_token text, session_id uuid, user_agent text?, ip inet?) -> (session_id uuid)
-- No row: the user was banned or deleted since it was read.
with owner as (
    select s.id, s.user_id
    from auth.sessions s
    join auth.users u on u.id = s.user_id
    where s.id = $3 and u.deleted_at is null and (u.banned_until is null or u.banned_until <= now())
), spent as (
    update auth.refresh_tokens t
    set revoked = true, updated_at = now()
    from owner
    where t.id = $1 and t.revoked is not true
), touched as (
    update auth.sessions s
    set refreshed_at = now() at time zone 'utc', updated_at = now(), user_agent = $4, ip = $5
    from owner
    where s.id = owner.id
)
insert into auth.refresh_tokens (instance_id, token, user_id, revoked, created_at, updated_at, parent, session_id)
select '00000000-0000-0000-0000-000000000000', $2, owner.user_id::text, false, now(), now(), t.token, owner.id
from owner
join auth.refresh_tokens t on t.id = $1
returning session_id
