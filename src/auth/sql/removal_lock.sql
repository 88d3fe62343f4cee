-- removal_lock(id uuid, encrypted_password text) -> (id uuid)
-- No row: not the user whose password was compared, any more.
select id from auth.users where id = $1 and coalesce(encrypted_password, '') = $2 and deleted_at is null for update
