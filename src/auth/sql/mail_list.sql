-- mail_list(recipient text?, most bigint) -> (id uuid, created_at timestamptz, kind text, state text, attempts integer, recipient text, last_error text?)
select id, created_at, kind, state, attempts, recipient, last_error
from basalt.mail
where $1 is null or recipient = $1
order by id desc
limit $2
