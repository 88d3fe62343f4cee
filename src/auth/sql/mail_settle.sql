-- mail_settle(id uuid, state text, error text?) -> ()
-- After an attempt: waiting for the next, sent, or failed. What it said is kept while it may yet be sent.
update basalt.mail
set state = $2,
    attempts = attempts + 1,
    last_error = $3,
    done_at = case when $2 <> 'waiting' then now() end,
    data = case when $2 <> 'sent' then data end
where id = $1 and state = 'waiting'
