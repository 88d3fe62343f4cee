-- recovery_take(user_id uuid, token_hash text) -> (user_id uuid)
-- No row: somebody else has used it, or a newer one has taken its place.
delete from auth.one_time_tokens
where user_id = $1 and token_type = 'recovery_token' and token_hash in ($2, 'pkce_' || $2)
returning user_id
