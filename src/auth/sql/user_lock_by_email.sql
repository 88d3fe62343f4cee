-- user_lock_by_email(email text, aud text) -> (id uuid)
select u.id
from auth.users u
where u.instance_id = '00000000-0000-0000-0000-000000000000'
    and lower(u.email) = $1
    and u.aud = $2
    and not u.is_sso_user
order by u.created_at
limit 1
for update
