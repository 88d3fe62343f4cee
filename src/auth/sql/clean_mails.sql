-- clean_mails(kept_us bigint) -> ()
delete from basalt.mail where id in (
    select id from basalt.mail
    where created_at < now() - $1 * interval '1 microsecond' and (state <> 'waiting' or expires_at < now())
    limit 100 for update skip locked)
