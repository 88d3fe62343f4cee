-- flow_begin(user_id uuid, code_challenge_method text, code_challenge text, authentication_method text) -> ()
insert into auth.flow_state (
    id, user_id, auth_code, code_challenge_method, code_challenge, provider_type, authentication_method,
    created_at, updated_at
)
values (
    gen_random_uuid(), $1, gen_random_uuid()::text, $2::auth.code_challenge_method, $3, 'email', $4, now(), now()
)
