-- session_delete_all(user_id uuid) -> (id uuid)
delete from auth.sessions where user_id = $1 returning id
