-- refresh_lock(token text?, session_id uuid?) -> (session_id uuid)
-- A statement of its own: refresh_read then has a snapshot from after the wait, and sees what the
-- refresh that held the lock has written. A queue longer than five seconds is GoTrue's 409.
select s.id
from auth.sessions s, (select set_config('lock_timeout', '5s', true) as set) patience
where s.id = coalesce($2, (select t.session_id from auth.refresh_tokens t where t.token = $1))
    and patience.set is not null
for update of s
