-- audit_retain(before timestamptz) -> (seals bigint, events bigint)
-- Deletes up to 100 of the oldest seals with their events, all older than that; the chain goes on from
-- the hash that audit_kept keeps. Never the newest seal, which the next one follows.
with old as (
    select n, events, hash from basalt.audit_seal
    where sealed_at < $1 and n < (select max(n) from basalt.audit_seal)
      and n < (select min(n) from basalt.audit_seal) + 100
), ids as (
    select unnest(events) as id from old
), gone as (
    delete from basalt.audit_event where id in (select id from ids) returning 1
), entries as (
    delete from auth.audit_log_entries where id in (select id from ids)
), cut as (
    insert into basalt.audit_kept (first_n, previous)
    select n + 1, hash from old order by n desc limit 1
    on conflict (one) do update set first_n = excluded.first_n, previous = excluded.previous
), seals as (
    delete from basalt.audit_seal where n in (select n from old) returning 1
)
select (select count(*) from seals), (select count(*) from gone)
