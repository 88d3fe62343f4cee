-- audit_verify() -> (seal bigint?, id uuid?, fault text)
-- The first seal or row that does not fit: a seal that is changed or missing, a row that is changed or
-- missing, a row that came later than its place in the order allows.
with start as (
    select coalesce(k.first_n, 1) as n, coalesce(k.previous, sha256('')) as previous
    from (select 1) as one left join basalt.audit_kept k on true
), chain as (
    select n, events, digests, previous, hash, lag(n) over w as former_n, lag(hash) over w as former
    from basalt.audit_seal window w as (order by n)
), settled as (
    select last_seq from basalt.audit_seal
    where sealed_at < now() - interval '5 seconds'
      and (horizon <= pg_snapshot_xmin(pg_current_snapshot()) or sealed_at < now() - interval '10 minutes')
    order by n desc limit 1
), faults as (
    select c.n as seal, null::uuid as id, 0::bigint as k,
        case when c.hash <> basalt.audit_seal_hash(c.previous, c.n, c.events, c.digests)
            then 'the seal was changed' else 'what was sealed before it is missing' end as fault
    from chain c, start s
    where c.hash <> basalt.audit_seal_hash(c.previous, c.n, c.events, c.digests)
       or (coalesce(c.former_n + 1, s.n), coalesce(c.former, s.previous)) is distinct from (c.n, c.previous)
    union all
    select c.n, i.id, i.k,
        case when e.id is null then 'the row is missing' else 'the row was changed' end
    from basalt.audit_seal c
    cross join lateral unnest(c.events) with ordinality as i(id, k)
    left join basalt.audit_event e on e.id = i.id
    where e.id is null
       or basalt.audit_digest(e) <> substring(c.digests from (i.k::integer - 1) * 32 + 1 for 32)
    union all
    select null, e.id, e.seq, 'the row was slipped in: it has no seal'
    from basalt.audit_event e, settled
    where e.seq <= settled.last_seq and e.id not in (select unnest(events) from basalt.audit_seal)
)
select seal, id, fault from faults order by seal nulls last, k limit 1
