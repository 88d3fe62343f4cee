-- job_failed(id bigint, lease uuid, delay_us bigint?, error text, counts boolean) -> ()
-- Without a delay it is dead.
update basalt.job
set lease = null,
    last_error = $4,
    attempts = attempts - case when $5 then 0 else 1 end,
    run_at = now() + coalesce($3, 0) * interval '1 microsecond',
    dead_at = case when $3 is null then now() end
where id = $1 and lease = $2
