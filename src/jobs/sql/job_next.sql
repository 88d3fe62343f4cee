-- job_next(kinds text[], ticks text[], periods_us bigint[]) -> (wait_us bigint?)
-- Until a job or a tick is due.
select (extract(epoch from least(
    (select min(j.run_at) from unnest($1) as k (kind) join basalt.job j on j.kind = k.kind where j.dead_at is null),
    (select min(t.last_run + k.period_us * interval '1 microsecond')
     from unnest($2, $3) as k (name, period_us) join basalt.job_tick t on t.name = k.name)
) - now()) * 1000000)::bigint as wait_us
