-- external_touch(user_id uuid, provider text, provider_id text, identity_data jsonb) -> ()
update auth.identities
set identity_data = $4, last_sign_in_at = now(), updated_at = now()
where user_id = $1 and provider = $2 and provider_id = $3
