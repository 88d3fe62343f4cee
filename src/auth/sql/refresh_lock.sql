-- refresh_lock(token text) -> (session_id uuid)
-- A statement of its own: refresh_read then has a snapshot from after the wait, and sees what the
-- refresh that held the lock has written.
select s.id
from auth.refresh_tokens t
join auth.sessions s on s.id = t.session_id
where t.token = $1
for update of s
