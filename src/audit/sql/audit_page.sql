-- audit_page(after bigint, since timestamptz?, most bigint, newest boolean) -> (seq bigint, at text, name text, category text?, outcome text, actor_id text?, actor_kind text?, subject_id text?, ip text?, user_agent text?, request_id text?, detail text?, node text?, sequence bigint?, id text)
-- Pages of all events in order behind `after`, or the newest ones.
with page as (
    select * from (
        (select * from basalt.audit_event where not $4::boolean and seq > $1::bigint and at >= coalesce($2::timestamptz, '-infinity')
         order by seq limit $3::bigint)
        union all
        (select * from basalt.audit_event where $4::boolean and at >= coalesce($2::timestamptz, '-infinity') order by seq desc limit $3::bigint)
    ) as either
)
select seq, to_char(at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), name, category, outcome,
    actor_id::text, actor_kind, subject_id::text, ip, user_agent, request_id, detail::text, node::text,
    sequence, id::text
from page order by seq
