-- user_soft_delete(id uuid, email text?, phone text?) -> (id uuid)
-- Address and number make way for hashes of themselves: they can be registered again, and the row stays.
-- Sessions are the next statement's to delete: a login that held the row while this one waited for it
-- has made one that is not in this statement's snapshot.
with gone_factors as (
    delete from auth.mfa_factors where user_id = $1
), gone_passkeys as (
    delete from auth.webauthn_credentials where user_id = $1
), gone_tokens as (
    delete from auth.one_time_tokens where user_id = $1
), emptied as (
    update auth.identities
    set identity_data = '{}', provider_id = encode(sha256(convert_to(user_id::text || provider_id, 'UTF8')), 'hex')
    where user_id = $1
)
update auth.users
set email = case when coalesce(email, '') = '' then email else $2 end,
    phone = case when coalesce(phone, '') = '' then phone else $3 end,
    encrypted_password = '',
    confirmation_token = '',
    recovery_token = '',
    email_change = '',
    email_change_token_new = '',
    email_change_token_current = '',
    phone_change = '',
    phone_change_token = '',
    reauthentication_token = '',
    raw_app_meta_data = '{}',
    raw_user_meta_data = '{}',
    deleted_at = now(),
    updated_at = now()
where id = $1 and deleted_at is null
returning id
