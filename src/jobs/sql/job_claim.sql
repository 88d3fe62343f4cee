-- job_claim(kinds text[], leases_us bigint[], lease uuid, most bigint) -> (id bigint, kind text, payload jsonb, attempts integer)
with due as (
    select j.id, k.lease_us
    from unnest($1, $2) as k (kind, lease_us)
    join basalt.job j on j.kind = k.kind
    where j.dead_at is null and j.run_at <= now()
    order by j.run_at
    limit $4
    for update of j skip locked
)
update basalt.job j
set attempts = j.attempts + 1, lease = $3, run_at = now() + due.lease_us * interval '1 microsecond'
from due
where j.id = due.id
returning j.id, j.kind, j.payload, j.attempts
