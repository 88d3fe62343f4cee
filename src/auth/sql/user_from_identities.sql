-- user_from_identities(id uuid, removed text) -> (id uuid)
-- After an identity of provider $2 has gone: address or number, and app_metadata's providers, are what
-- the remaining ones say. An address that none of them verified is not a confirmed one.
with one as (
    select lower(i.email) as email, coalesce(i.identity_data ->> 'email_verified', '') = 'true' as verified
    from auth.identities i
    join auth.users u on u.id = i.user_id
    where i.user_id = $1 and coalesce(i.email, '') <> ''
    order by lower(i.email) = lower(u.email) desc, 2 desc, i.created_at, i.id
    limit 1
), next as (
    select u.id,
        case when $2 = 'phone' then u.email
             when lower(one.email) = lower(u.email) then u.email
             else one.email end as email,
        case when $2 = 'phone' or lower(one.email) = lower(u.email) then u.email_confirmed_at
             when one.verified then coalesce(u.email_confirmed_at, now()) end as email_confirmed_at
    from auth.users u
    left join one on true
    where u.id = $1
), providers as (
    select coalesce(jsonb_agg(p.provider order by p.since), '[]') as list
    from (select i.provider, min(i.created_at) as since from auth.identities i where i.user_id = $1 group by 1) p
)
update auth.users u
set email = next.email,
    email_confirmed_at = next.email_confirmed_at,
    phone = case when $2 = 'phone' then null else u.phone end,
    phone_confirmed_at = case when $2 = 'phone' then null else u.phone_confirmed_at end,
    raw_app_meta_data = case when jsonb_typeof(u.raw_app_meta_data) = 'object' then u.raw_app_meta_data else '{}' end
        || jsonb_build_object('provider', providers.list -> 0, 'providers', providers.list),
    updated_at = now()
from next, providers
where u.id = next.id
returning u.id
