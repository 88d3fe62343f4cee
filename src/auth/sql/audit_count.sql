-- audit_count(field text?, word text) -> (total bigint)
-- field: author, action or type of the payload; null: all entries.
select count(*)
from auth.audit_log_entries a
where a.instance_id = '00000000-0000-0000-0000-000000000000'
    and case $1
        when 'author' then position(lower($2) in lower(concat_ws(' ', a.payload ->> 'actor_username', a.payload ->> 'actor_name'))) > 0
        when 'action' then position(lower($2) in lower(a.payload ->> 'action')) > 0
        when 'type' then position(lower($2) in lower(a.payload ->> 'log_type')) > 0
        else true
    end
