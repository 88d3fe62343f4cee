-- clean_mail_secrets() -> ()
-- What was not sent in time is not sent any more, and what it held is forgotten.
update basalt.mail
set data = null,
    state = 'failed',
    done_at = coalesce(done_at, now()),
    last_error = coalesce(last_error, 'not sent before it expired')
where id in (
    select id from basalt.mail
    where data is not null and expires_at < now()
    limit 100 for update skip locked)
