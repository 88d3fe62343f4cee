-- audit_compare(node uuid, lines jsonb) -> (sequence bigint, id uuid, fault text)
-- The first of a journal's lines, [sequence, hash, record] each, whose row is missing or another. What
-- retention may have deleted is not missed. A copy of a row that was written with its change knows
-- neither that row's time nor a number.
select (l.line ->> 0)::bigint, (r ->> 'id')::uuid,
    case when e.id is null then 'the row is missing' else 'the row was changed' end
from jsonb_array_elements($2) with ordinality as l(line, n)
cross join lateral (select l.line -> 2) as record(r)
left join basalt.audit_event e on e.id = (r ->> 'id')::uuid
where case
    when e.id is null then
        not exists (select from basalt.audit_kept)
        or (r ->> 'at')::timestamptz >= (select min(sealed_at) from basalt.audit_seal)
    else
        (e.name, e.outcome, e.actor_id::text, e.actor_kind, e.subject_id::text, e.ip, e.user_agent, e.request_id)
            is distinct from
        (r ->> 'name', r ->> 'outcome', r ->> 'actor_id', r ->> 'actor_kind', r ->> 'subject_id', r ->> 'ip',
            r ->> 'user_agent', r ->> 'request_id')
        or e.category is distinct from r ->> 'category'
        or not r ? 'detail_bytes' and e.detail is distinct from nullif(r -> 'detail', 'null')
        or not r ? 'kept' and (e.at, e.node, e.sequence, e.hash) is distinct from
            ((r ->> 'at')::timestamptz, $1, (l.line ->> 0)::bigint, l.line ->> 1)
    end
order by l.n limit 1
