-- user_by_email(email text, aud text) -> (id uuid, aud text, role text, email text?, phone text?, encrypted_password text,
--   email_confirmed_at timestamptz?, phone_confirmed_at timestamptz?, banned_until timestamptz?, deleted_at timestamptz?,
--   is_anonymous boolean, is_sso_user boolean, created_at timestamptz?, app_metadata jsonb, user_metadata jsonb,
--   head json, factors json?, identities json, tail json)
select
    u.id, u.aud, u.role, u.email, u.phone, u.encrypted_password, u.email_confirmed_at, u.phone_confirmed_at,
    u.banned_until, u.deleted_at, u.is_anonymous, u.is_sso_user, u.created_at, u.app_metadata, u.user_metadata,
    u.head, u.factors, u.identities, u.tail
from basalt.user_row u
where u.instance_id = '00000000-0000-0000-0000-000000000000'
    and lower(u.email) = lower($1)
    and u.aud = $2
    and not u.is_sso_user
order by u.created_at
limit 1
