-- verify_confirm(id uuid) -> ()
with proved as (
    update auth.identities i
    set identity_data = i.identity_data || '{"email_verified": true}', updated_at = now()
    from auth.users u
    where u.id = $1 and i.user_id = u.id and i.provider = 'email' and i.email = lower(u.email)
        and i.identity_data -> 'email_verified' is distinct from 'true'
)
update auth.users
set email_confirmed_at = now(),
    raw_user_meta_data = coalesce(raw_user_meta_data, '{}') || '{"email_verified": true}',
    updated_at = now()
where id = $1 and email_confirmed_at is null
