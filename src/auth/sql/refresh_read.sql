-- refresh_read(token text?, session_id uuid?) -> (id bigint?, revoked boolean, revoked_at timestamptz?, user_id uuid?, session_id uuid?,
--   not_after timestamptz?, session_created_at timestamptz?, session_used_at timestamptz?, aal text, amr json,
--   active_id bigint?, active_token text?, active_parent text?, session_ip text?,
--   session_agent text?, hmac_key text?, counter bigint, superseded boolean)
-- superseded: not the token with which the session began to count.
-- By a token's text, or by the session that a token of version 2 names; that has no row of its own.
select
    t.id, coalesce(t.revoked, false), t.updated_at, s.user_id, s.id,
    s.not_after, s.created_at, coalesce(s.refreshed_at at time zone 'utc', t.updated_at, s.created_at),
    coalesce(s.aal::text, 'aal1'),
    coalesce((
        select json_agg(json_build_object(
            'method', c.authentication_method, 'timestamp', extract(epoch from c.updated_at)::bigint)
            order by c.updated_at desc)
        from auth.mfa_amr_claims c
        where c.session_id = s.id
    ), '[]'),
    a.id, a.token, a.parent, host(s.ip), s.user_agent,
    s.refresh_token_hmac_key, coalesce(s.refresh_token_counter, 0),
    s.refresh_token_hmac_key is not null
        and exists (select from auth.refresh_tokens r where r.session_id = s.id and r.id > t.id)
from (select) one
left join auth.refresh_tokens t on t.token = $1
left join auth.sessions s on s.id = coalesce($2, t.session_id)
left join lateral (
    select r.id, r.token, r.parent
    from auth.refresh_tokens r
    where r.session_id = s.id and not r.revoked
    order by r.id desc
    limit 1
) a on true
where t.id is not null or s.id is not null
