-- mail_reopen(id uuid) -> (id uuid)
update basalt.mail
set state = 'waiting', done_at = null, expires_at = greatest(expires_at, now() + interval '1 hour')
where id = $1 and state <> 'sent' and data is not null
returning id
