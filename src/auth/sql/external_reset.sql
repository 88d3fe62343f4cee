-- external_reset(user_id uuid, provider text, provider_id text, keep_metadata boolean) -> ()
-- Somebody registered an address that was not proven to be theirs, and now its owner has come. Nothing
-- by which the other could get in stays: password, identities, sessions, pending tokens, number.
with identities as (
    delete from auth.identities i where i.user_id = $1 and (i.provider <> $2 or i.provider_id <> $3)
), sessions as (
    delete from auth.sessions s where s.user_id = $1
), tokens as (
    delete from auth.one_time_tokens t where t.user_id = $1
), factors as (
    delete from auth.mfa_factors f where f.user_id = $1
), networks as (
    delete from basalt.known_network n where n.user_id = $1
), codes as (
    delete from auth.flow_state s where s.user_id = $1
), passkeys as (
    delete from auth.webauthn_credentials w where w.user_id = $1
)
update auth.users
set encrypted_password = '',
    raw_user_meta_data = case when $4 then raw_user_meta_data else '{}' end,
    email_confirmed_at = now(),
    phone = null,
    phone_confirmed_at = null,
    confirmation_token = '',
    recovery_token = '',
    email_change = '',
    email_change_token_new = '',
    email_change_token_current = '',
    email_change_confirm_status = 0,
    phone_change = '',
    phone_change_token = '',
    reauthentication_token = '',
    is_anonymous = false,
    updated_at = now()
where id = $1
