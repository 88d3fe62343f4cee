-- job_insert(kind text, payload jsonb, run_at timestamptz?) -> ()
insert into basalt.job (kind, payload, run_at) values ($1, $2, coalesce($3, now()))
