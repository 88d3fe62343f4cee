-- clean_mail_jobs() -> ()
-- Of mails that will not be sent, where no node has a mail server to do it.
delete from basalt.job where id in (
    select j.id from basalt.job j
    where j.kind = 'mail' and j.created_at < now() - interval '24 hours'
      and not exists (select from basalt.mail m where m.id = (j.payload ->> 'id')::uuid and m.state = 'waiting')
    limit 100 for update skip locked)
