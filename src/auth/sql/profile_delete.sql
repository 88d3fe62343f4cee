-- profile_delete(target text, id uuid) -> (done void?)
select basalt.profile_delete($1, $2)
