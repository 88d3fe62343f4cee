-- session_delete_one(user_id uuid, id uuid) -> (id uuid)
delete from auth.sessions where user_id = $1 and id = $2 returning id
