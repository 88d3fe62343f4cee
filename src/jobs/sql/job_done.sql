-- job_done(id bigint, lease uuid) -> ()
delete from basalt.job where id = $1 and lease = $2
