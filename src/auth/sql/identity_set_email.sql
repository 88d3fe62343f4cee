-- identity_set_email(user_id uuid, email text, verified boolean) -> ()
insert into auth.identities as i (id, user_id, provider_id, provider, identity_data, last_sign_in_at, created_at, updated_at)
values (
    gen_random_uuid(), $1, $1::text, 'email',
    jsonb_build_object('sub', $1::text, 'email', $2, 'email_verified', $3, 'phone_verified', false),
    now(), now(), now()
)
on conflict (provider_id, provider) do update
set identity_data = i.identity_data || jsonb_build_object('email', $2, 'email_verified', $3), updated_at = now()
