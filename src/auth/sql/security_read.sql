-- security_read(user_id uuid) -> (sessions bigint, last_sign_in_at timestamptz?, email_confirmed_at timestamptz?,
--   has_password boolean, password_set_at timestamptz?, has_factor boolean)
-- A password is as old as its last change, or as the account that was made with it; what retention
-- has taken away is not known.
select
    (
        select count(*)
        from auth.sessions s
        where s.user_id = u.id and (s.not_after is null or s.not_after > now())
    ),
    u.last_sign_in_at,
    u.email_confirmed_at,
    coalesce(u.encrypted_password, '') <> '',
    case when coalesce(u.encrypted_password, '') <> '' then (
        select max(a.at)
        from basalt.audit_event a
        where a.subject_id = u.id and a.name in ('user_updated_password', 'password_reset_confirm', 'user_signedup')
    ) end,
    exists (select from auth.mfa_factors f where f.user_id = u.id and f.status = 'verified')
from auth.users u
where u.id = $1
