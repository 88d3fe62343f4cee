-- verify_providers(id uuid) -> ()
-- app_metadata says which identities there are, the oldest first.
update auth.users u
set raw_app_meta_data = coalesce(u.raw_app_meta_data, '{}') || jsonb_build_object(
        'provider', coalesce(u.raw_app_meta_data -> 'provider', p.all_of_them -> 0), 'providers', p.all_of_them)
from (
    select jsonb_agg(i.provider order by i.created_at, i.provider) as all_of_them
    from (
        select i.provider, min(i.created_at) as created_at from auth.identities i where i.user_id = $1 group by i.provider
    ) i
) p
where u.id = $1 and p.all_of_them is not null
    and u.raw_app_meta_data -> 'providers' is distinct from p.all_of_them
