-- audit_ship(node uuid, lines jsonb, sequence bigint, hash text) -> ()
-- Lines of a journal, [sequence, hash, record] each, in order; the same ones again change nothing.
with position as (
    insert into basalt.audit_node (node, sequence, hash) values ($1, $3, $4)
    on conflict (node) do update
    set sequence = excluded.sequence, hash = excluded.hash, seen_at = now()
)
insert into basalt.audit_event (id, at, name, category, outcome, actor_id, actor_kind, subject_id, ip,
    user_agent, request_id, detail, node, sequence, hash)
select (r ->> 'id')::uuid, (r ->> 'at')::timestamptz, r ->> 'name', r ->> 'category',
    r ->> 'outcome', (r ->> 'actor_id')::uuid, r ->> 'actor_kind', (r ->> 'subject_id')::uuid,
    r ->> 'ip', r ->> 'user_agent', r ->> 'request_id', nullif(r -> 'detail', 'null'), $1,
    (l.line ->> 0)::bigint, l.line ->> 1
from jsonb_array_elements($2) with ordinality as l(line, n), lateral (select l.line -> 2) as record(r)
order by l.n
on conflict (id) do nothing
