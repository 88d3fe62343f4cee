-- user_lock(id uuid) -> (id uuid)
-- The statements behind it see what those who held the row before have written.
select id from auth.users where id = $1 and instance_id = '00000000-0000-0000-0000-000000000000' for update
