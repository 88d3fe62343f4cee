-- identity_insert(user_id uuid, provider_id text, provider text, identity_data jsonb) -> ()
insert into auth.identities (id, user_id, provider_id, provider, identity_data, last_sign_in_at, created_at, updated_at)
values (gen_random_uuid(), $1, $2, $3, $4, now(), now(), now())
