-- password_set(id uuid, encrypted_password text, new_hash text, mail_proven boolean) -> (id uuid)
-- What was read before the hash is a condition of the write. Who has come by a mail to the address
-- has proven that it is theirs.
with owner as (
    update auth.users
    set encrypted_password = $3,
        email_confirmed_at = case when $4 then coalesce(email_confirmed_at, now()) else email_confirmed_at end,
        raw_user_meta_data = case
            when $4 and email_confirmed_at is null and jsonb_typeof(raw_user_meta_data) = 'object'
            then raw_user_meta_data || '{"email_verified": true}'
            else raw_user_meta_data
        end,
        updated_at = now()
    where id = $1
        and coalesce(encrypted_password, '') = $2
        and deleted_at is null
        and (banned_until is null or banned_until <= now())
    returning id
), proven as (
    update auth.identities i
    set identity_data = i.identity_data || '{"email_verified": true}', updated_at = now()
    from owner o
    where $4 and i.user_id = o.id and i.provider = 'email'
)
select id from owner
