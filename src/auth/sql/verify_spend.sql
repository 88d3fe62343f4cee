-- verify_spend(id uuid, kind text, token_hash text) -> (id uuid)
-- No row: somebody who held the user's row while we waited for it has spent the token.
delete from auth.one_time_tokens where user_id = $1 and token_type::text = $2 and token_hash = $3 returning user_id as id
