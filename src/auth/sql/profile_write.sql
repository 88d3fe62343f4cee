-- profile_write(target text, id uuid, fields jsonb) -> (done void?)
select basalt.profile_write($1, $2, $3)
