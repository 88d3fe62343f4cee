-- e2e_find(id uuid) -> (user_id uuid, session_id uuid?, email text, test_name text, credits bigint,
--   created_at timestamptz, expires_at timestamptz)
-- session_id: of the session that was opened with the user, while it lives.
select
    e.user_id,
    (select s.id from auth.sessions s where s.user_id = e.user_id order by s.created_at, s.id limit 1),
    coalesce(u.email, ''), e.test_name, e.credits, e.created_at, e.expires_at
from basalt.e2e_session e
join auth.users u on u.id = e.user_id
where e.id = $1
