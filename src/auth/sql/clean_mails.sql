-- clean_mails(kept_us bigint) -> ()
delete from basalt.mail where id in (
    select id from basalt.mail
    where created_at < now() - $1 * interval '1 microsecond'
    limit 100 for update skip locked)
