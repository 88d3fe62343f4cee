-- audit_insert(id uuid, name text, outcome text, actor_id uuid?, actor_kind text?, subject_id uuid?, ip text?, user_agent text?, request_id text?, detail jsonb?, payload json?, category text) -> ()
with entry as (
    insert into auth.audit_log_entries (instance_id, id, payload, created_at, ip_address)
    select '00000000-0000-0000-0000-000000000000', $1, $11, now(), ''
    where $11 is not null
)
insert into basalt.audit_event (id, at, name, outcome, actor_id, actor_kind, subject_id, ip, user_agent, request_id, detail, category)
values ($1, now(), $2, $3, $4, $5, $6, $7, $8, $9, $10, $12)
