-- external_update(id uuid, user_metadata jsonb) -> ()
-- What the provider says of the person, over what was there; providers as the identities now are.
update auth.users u
set raw_user_meta_data =
        case when jsonb_typeof(u.raw_user_meta_data) = 'object' then u.raw_user_meta_data else '{}' end || $2,
    raw_app_meta_data =
        case when jsonb_typeof(u.raw_app_meta_data) = 'object' then u.raw_app_meta_data else '{}' end
        || jsonb_build_object('provider', p.list -> 0, 'providers', p.list),
    updated_at = now()
from (
    select jsonb_agg(i.provider order by i.first_at, i.provider) as list
    from (
        select provider, min(created_at) as first_at
        from auth.identities
        where user_id = $1
        group by provider
    ) i
) p
where u.id = $1
