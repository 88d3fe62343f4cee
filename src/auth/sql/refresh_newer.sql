-- refresh_newer(token text?, session_id uuid?, tags text, timebox_us bigint, inactivity_us bigint, low_aal_us bigint,
--   has_factor boolean) -> (id uuid)
-- A living session of the same user and tag that was used after this one, as GoTrue compares them: a
-- session's tag is the first configured one unless its own is among them. One is enough.
with tagged as not materialized (
    select
        s.id, s.user_id, s.created_at, s.not_after, s.aal,
        coalesce(s.refreshed_at at time zone 'utc', s.created_at) as used_at,
        coalesce((select t from unnest(string_to_array($3, ',')) t where t = s.tag limit 1),
            (string_to_array($3, ','))[1], '') as tag
    from auth.sessions s
), mine as (
    select m.*, coalesce(greatest(m.used_at, case when s.refreshed_at is null then t.updated_at end), m.used_at) as last_at
    from tagged m
    join auth.sessions s on s.id = m.id
    left join auth.refresh_tokens t on t.token = $1
    where m.id = coalesce($2, (select t.session_id from auth.refresh_tokens t where t.token = $1))
)
select o.id
from mine m
join tagged o on o.user_id = m.user_id and o.id <> m.id and o.tag = m.tag and o.used_at > m.last_at
where (o.not_after is null or o.not_after > now())
    and ($4 = 0 or o.created_at + $4 * interval '1 microsecond' > now())
    and ($5 = 0 or o.used_at + $5 * interval '1 microsecond' > now())
    and ($6 = 0 or not $7 or o.aal > 'aal1' or o.created_at + $6 * interval '1 microsecond' > now())
limit 1
