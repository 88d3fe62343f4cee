-- user_update_look(user_id uuid, session_id uuid?, email text?, phone text?) -> (
--   session_lives boolean, session_created_at timestamptz?, aal text?, recovered boolean, mfa boolean, email_taken boolean, phone_taken boolean,
--   reauthentication_token text)
-- What a change of oneself depends on, beside the user's row. recovered: the session was opened by a mail.
select
    $2 is null or s.id is not null,
    s.created_at,
    s.aal::text,
    exists (
        select from auth.mfa_amr_claims c
        where c.session_id = s.id and c.authentication_method in ('otp', 'magiclink', 'recovery')
    ),
    exists (select from auth.mfa_factors f where f.user_id = u.id and f.status = 'verified'),
    exists (
        select from auth.users o
        where o.instance_id = u.instance_id and lower(o.email) = $3 and not o.is_sso_user and o.id <> u.id
    ),
    exists (select from auth.users o where o.phone = $4 and o.id <> u.id),
    coalesce(u.reauthentication_token, '')
from auth.users u
left join auth.sessions s on s.id = $2 and s.user_id = u.id
where u.id = $1
