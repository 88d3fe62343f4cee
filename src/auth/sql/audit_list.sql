-- audit_list(field text?, word text, rows_max bigint, rows_skipped bigint) -> (id uuid, payload json?, created_at timestamptz?, ip_address text)
-- Newest first; field as in audit_count.
select a.id, a.payload, a.created_at, a.ip_address::text
from auth.audit_log_entries a
where a.instance_id = '00000000-0000-0000-0000-000000000000'
    and case $1
        when 'author' then position(lower($2) in lower(concat_ws(' ', a.payload ->> 'actor_username', a.payload ->> 'actor_name'))) > 0
        when 'action' then position(lower($2) in lower(a.payload ->> 'action')) > 0
        when 'type' then position(lower($2) in lower(a.payload ->> 'log_type')) > 0
        else true
    end
order by a.created_at desc, a.id desc
limit $3 offset $4
