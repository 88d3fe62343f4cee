-- mail_requeue(id uuid) -> ()
-- Its job, as new; of a job that is under way nothing is changed.
delete from basalt.job where kind = 'mail' and payload ->> 'id' = $1::text and lease is null
