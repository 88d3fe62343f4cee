-- mail_requeue(id uuid) -> ()
-- Its job, as new and due; one that is under way is left alone.
with old as (
    delete from basalt.job where kind = 'mail' and payload ->> 'id' = $1::text and lease is null
)
insert into basalt.job (kind, payload)
select 'mail', jsonb_build_object('id', $1)
where not exists (select from basalt.job where kind = 'mail' and payload ->> 'id' = $1::text and lease is not null)
