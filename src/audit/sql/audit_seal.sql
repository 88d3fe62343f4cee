-- audit_seal(most integer) -> (n bigint, hash text, events integer)
-- Seals what no seal has yet. An event may commit long after others with a higher seq, so those of the
-- last seals are looked through again, until no transaction of that time can be left (the 5 s are for
-- one that had its seq and not yet its xid; the 10 minutes for a database that was restored, where
-- xids begin anew). Two servers at once: the second one's n is taken, and it seals nothing.
with head as (
    select n, hash, last_seq from basalt.audit_seal order by n desc limit 1
), settled as (
    select n, last_seq from basalt.audit_seal
    where sealed_at < now() - interval '5 seconds'
      and (horizon <= pg_snapshot_xmin(pg_current_snapshot()) or sealed_at < now() - interval '10 minutes')
    order by n desc limit 1
), fresh as (
    select e.id, e.seq, basalt.audit_digest(e) as digest from basalt.audit_event e
    where e.seq > coalesce((select last_seq from settled), 0)
      and e.id not in (
          select unnest(s.events) from basalt.audit_seal s where s.n > coalesce((select n from settled), 0))
    order by e.seq limit $1
), batch as (
    select array_agg(id order by seq) as events, string_agg(digest, ''::bytea order by seq) as digests,
        max(seq) as last_seq
    from fresh having count(*) > 0
), next as (
    select coalesce(h.n, k.first_n - 1, 0) + 1 as n, coalesce(h.hash, k.previous, sha256('')) as previous,
        b.events, b.digests, greatest(b.last_seq, h.last_seq) as last_seq
    from batch b left join head h on true left join basalt.audit_kept k on true
)
insert into basalt.audit_seal (n, events, digests, previous, hash, last_seq, horizon)
select n, events, digests, previous, basalt.audit_seal_hash(previous, n, events, digests), last_seq,
    pg_snapshot_xmax(pg_current_snapshot())
from next
on conflict (n) do nothing
returning n, encode(hash, 'hex'), cardinality(events)
