-- job_count() -> (waiting bigint, dead bigint)
select count(*) filter (where dead_at is null) as waiting, count(*) filter (where dead_at is not null) as dead from basalt.job
