-- user_email_set(id uuid, email text) -> ()
-- At once and confirmed: an anonymous user becomes a permanent one. The identity is written before this.
with providers as (
    select coalesce(jsonb_agg(p.provider order by p.since), '[]') as list
    from (select i.provider, min(i.created_at) as since from auth.identities i where i.user_id = $1 group by 1) p
)
update auth.users u
set email = coalesce(
        (
            select o.email -- another's, in whatever letter case: breaks the unique index
            from auth.users o
            where o.instance_id = u.instance_id and lower(o.email) = $2 and not o.is_sso_user and o.id <> $1
            limit 1
        ),
        $2),
    email_confirmed_at = now(),
    email_change = '',
    is_anonymous = false,
    raw_app_meta_data = case when jsonb_typeof(u.raw_app_meta_data) = 'object' then u.raw_app_meta_data else '{}' end
        || jsonb_build_object('provider', providers.list -> 0, 'providers', providers.list),
    updated_at = now()
from providers
where u.id = $1
