-- job_purge(before timestamptz) -> ()
delete from basalt.job
where id in (select id from basalt.job where dead_at < $1 limit 100 for update skip locked)
