-- profile_read(target text, id uuid) -> (profile jsonb?)
select basalt.profile_read($1, $2)
