-- session_find(id uuid, user_id uuid) -> (id uuid, ip text?, user_agent text?)
select id, host(ip) as ip, user_agent from auth.sessions where id = $1 and user_id = $2
