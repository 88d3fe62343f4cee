-- login_find(email text, aud text) -> (id uuid?, email text?, encrypted_password text?, email_confirmed_at timestamptz?,
--   banned_until timestamptz?, deleted_at timestamptz?)
-- What a password is checked against, and no more: a user's metadata and identities would cost a known address
-- what an unknown one does not. One row always, of nulls when nobody has the address.
select u.id, u.email, u.encrypted_password, u.email_confirmed_at, u.banned_until, u.deleted_at
from (select 1) one
left join lateral (
    select u.id, u.email, coalesce(u.encrypted_password, '') as encrypted_password, u.email_confirmed_at, u.banned_until, u.deleted_at
    from auth.users u
    where u.instance_id = '00000000-0000-0000-0000-000000000000'
        and lower(u.email) = lower($1)
        and u.aud = $2
        and not u.is_sso_user
    order by u.created_at
    limit 1
) u on true
