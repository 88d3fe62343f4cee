-- e2e_take(id uuid) -> (user_id uuid)
-- No row: somebody else removes it, or has.
delete from basalt.e2e_session where id = $1 returning user_id
