-- user_list(aud text, filter text?, ascending boolean, rows_max bigint, rows_skipped bigint) -> (id uuid, aud text, role text, email text?, phone text?, encrypted_password text,
--   email_confirmed_at timestamptz?, phone_confirmed_at timestamptz?, banned_until timestamptz?, deleted_at timestamptz?,
--   is_anonymous boolean, is_sso_user boolean, created_at timestamptz?, app_metadata jsonb, user_metadata jsonb,
--   invited_at timestamptz?, confirmation_sent_at timestamptz?, recovery_sent_at timestamptz?, email_change text,
--   email_change_sent_at timestamptz?, phone_change text, phone_change_sent_at timestamptz?,
--   reauthentication_sent_at timestamptz?, last_sign_in_at timestamptz?, updated_at timestamptz?, factors json?,
--   identities json)
select
    u.id, u.aud, u.role, u.email, u.phone, u.encrypted_password, u.email_confirmed_at, u.phone_confirmed_at,
    u.banned_until, u.deleted_at, u.is_anonymous, u.is_sso_user, u.created_at, u.app_metadata, u.user_metadata,
    u.invited_at, u.confirmation_sent_at, u.recovery_sent_at, u.email_change, u.email_change_sent_at, u.phone_change,
    u.phone_change_sent_at, u.reauthentication_sent_at, u.last_sign_in_at, u.updated_at, u.factors, u.identities
from basalt.user_row u
where u.instance_id = '00000000-0000-0000-0000-000000000000'
    and u.aud = $1
    and ($2::text is null
        or position($2 in u.email) > 0
        or position(lower($2) in lower(u.user_metadata ->> 'full_name')) > 0)
order by case when $3 then u.created_at end asc, case when not $3 then u.created_at end desc, u.id
limit $4 offset $5
