-- user_set_invited(id uuid) -> ()
update auth.users set invited_at = now(), updated_at = now() where id = $1
