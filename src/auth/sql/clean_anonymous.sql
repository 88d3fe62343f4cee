-- clean_anonymous(life_us bigint) -> ()
delete from auth.users where id in (
    select id from auth.users
    where is_anonymous and created_at < now() - $1 * interval '1 microsecond'
    limit 100 for update skip locked)
