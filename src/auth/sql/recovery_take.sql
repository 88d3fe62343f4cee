-- recovery_take(user_id uuid, token_hash text) -> (user_id uuid)
-- No row: somebody else has used it, a newer one has taken its place, or the address is another by now.
delete from auth.one_time_tokens t
using auth.users u
where t.user_id = $1 and t.token_type = 'recovery_token' and t.token_hash in ($2, 'pkce_' || $2)
    and u.id = t.user_id and t.relates_to = lower(u.email)
returning t.user_id
