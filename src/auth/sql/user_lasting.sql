-- user_lasting(id uuid) -> ()
-- An anonymous user whom an administrator gave a confirmed address or number is a permanent one.
update auth.users
set is_anonymous = false
where id = $1 and is_anonymous and (email_confirmed_at is not null or phone_confirmed_at is not null)
