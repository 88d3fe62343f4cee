-- external_lock_email(email text, aud text) -> (id uuid, confirmed boolean, proven boolean)
-- proven: by a mail or a provider, not by a setting that confirms whatever is registered.
select u.id, u.email_confirmed_at is not null,
    exists (
        select from auth.identities i
        where i.user_id = u.id and i.email = lower(u.email) and i.identity_data -> 'email_verified' = 'true'
    )
from auth.users u
where u.instance_id = '00000000-0000-0000-0000-000000000000'
    and lower(u.email) = $1
    and u.aud = $2
    and not u.is_sso_user
    and u.deleted_at is null
order by u.created_at
limit 1
for update
