-- recovery_find(token_hash text) -> (user_id uuid, sent_at timestamptz?)
-- With "pkce_" before it, the same token was asked for by a flow that a session ends.
select t.user_id, u.recovery_sent_at
from auth.one_time_tokens t
join auth.users u on u.id = t.user_id
where t.token_type = 'recovery_token'
    and t.token_hash in ($1, 'pkce_' || $1)
    and t.relates_to = lower(u.email)
    and u.deleted_at is null
    and not u.is_sso_user
    and (u.banned_until is null or u.banned_until <= now())
