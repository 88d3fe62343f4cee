-- job_tick(ticks text[], periods_us bigint[]) -> ()
-- The row is touched only when it seems due; then the condition decides who of several nodes was first.
-- A tick whose former job is still at work is left out.
with tick as (
    select k.name, k.period_us * interval '1 microsecond' as period from unnest($1, $2) as k (name, period_us)
), due as (
    insert into basalt.job_tick as t (name, last_run)
    select k.name, now()
    from tick k left join basalt.job_tick was on was.name = k.name
    where was.name is null or was.last_run <= now() - k.period
    on conflict (name) do update set last_run = now()
    where t.last_run <= now() - (select k.period from tick k where k.name = t.name)
    returning t.name
)
insert into basalt.job (kind)
select d.name from due d
where not exists (select from basalt.job j where j.kind = d.name and j.dead_at is null)
