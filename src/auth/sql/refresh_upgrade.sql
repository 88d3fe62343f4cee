-- refresh_upgrade(token_id bigint, session_id uuid, hmac_key text, user_agent text?, ip inet?) -> (session_id uuid)
-- The session's tokens are of version 2 from now on; no row: the user was banned or deleted meanwhile.
with counted as (
    update auth.sessions s
    set refresh_token_hmac_key = $3, refresh_token_counter = 0, refreshed_at = now() at time zone 'utc',
        updated_at = now(), user_agent = $4, ip = $5
    from auth.users u
    where s.id = $2 and u.id = s.user_id and u.deleted_at is null and (u.banned_until is null or u.banned_until <= now())
    returning s.id
), spent as (
    update auth.refresh_tokens t
    set revoked = true, updated_at = now()
    from counted
    where t.id = $1
)
select id from counted
