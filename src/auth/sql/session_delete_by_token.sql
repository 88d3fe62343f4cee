-- session_delete_by_token(token text?, session_id uuid?, every boolean) -> (id uuid, user_id uuid)
-- Who holds a refresh token may end its session; all of them only by one that is not spent, since
-- spent ones lie about in backups and logs. A token of version 2 names the session.
with owner as (
    select s.id, s.user_id, $3 and t.revoked is not true as every
    from auth.sessions s
    left join auth.refresh_tokens t on t.token = $1
    where s.id = coalesce($2, (select t.session_id from auth.refresh_tokens t where t.token = $1))
)
delete from auth.sessions s
using owner o
where s.user_id = o.user_id and (s.id = o.id or o.every)
returning s.id, s.user_id
