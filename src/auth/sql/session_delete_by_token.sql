-- session_delete_by_token(token text, every boolean) -> (id uuid, user_id uuid)
-- Who holds a refresh token may end its session; all of them only by one that is not spent, since
-- spent ones lie about in backups and logs.
with owner as (
    select s.id, s.user_id, $2 and t.revoked is not true as every
    from auth.refresh_tokens t
    join auth.sessions s on s.id = t.session_id
    where t.token = $1
)
delete from auth.sessions s
using owner o
where s.user_id = o.user_id and (s.id = o.id or o.every)
returning s.id, s.user_id
