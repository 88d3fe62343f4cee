-- verify_disown(id uuid) -> ()
-- Whoever registered the address before it was proven has no way in any more.
with sessions as (
    delete from auth.sessions where user_id = $1
)
update auth.users set encrypted_password = '' where id = $1
