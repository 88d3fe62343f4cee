-- user_delete(id uuid) -> (id uuid)
delete from auth.users where id = $1 returning id
