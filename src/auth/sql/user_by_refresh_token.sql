-- user_by_refresh_token(token text?, session_id uuid?) -> (id uuid, aud text, role text, email text?, phone text?, encrypted_password text,
--   email_confirmed_at timestamptz?, phone_confirmed_at timestamptz?, banned_until timestamptz?, deleted_at timestamptz?,
--   is_anonymous boolean, is_sso_user boolean, created_at timestamptz?, app_metadata jsonb, user_metadata jsonb,
--   invited_at timestamptz?, confirmation_sent_at timestamptz?, recovery_sent_at timestamptz?, email_change text,
--   email_change_sent_at timestamptz?, phone_change text, phone_change_sent_at timestamptz?,
--   reauthentication_sent_at timestamptz?, last_sign_in_at timestamptz?, updated_at timestamptz?, factors json?,
--   identities json)
-- By the session: refresh_tokens.user_id is text, and a join on it would read every user.
select
    u.id, u.aud, u.role, u.email, u.phone, u.encrypted_password, u.email_confirmed_at, u.phone_confirmed_at,
    u.banned_until, u.deleted_at, u.is_anonymous, u.is_sso_user, u.created_at, u.app_metadata, u.user_metadata,
    u.invited_at, u.confirmation_sent_at, u.recovery_sent_at, u.email_change, u.email_change_sent_at, u.phone_change,
    u.phone_change_sent_at, u.reauthentication_sent_at, u.last_sign_in_at, u.updated_at, u.factors, u.identities
from basalt.user_row u
where u.id = (
    select s.user_id
    from auth.sessions s
    where s.id = coalesce($2, (select t.session_id from auth.refresh_tokens t where t.token = $1)))
