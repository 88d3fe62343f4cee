-- session_find(id uuid, user_id uuid) -> (id uuid)
select id from auth.sessions where id = $1 and user_id = $2
