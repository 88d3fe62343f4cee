-- profile_change(target text, id uuid, fields jsonb) -> (done void?)
-- No row: there is no profile to change.
select basalt.profile_write($1, $2, $3) where basalt.profile_read($1, $2) is not null
