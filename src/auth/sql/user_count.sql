-- user_count(aud text, filter text?) -> (total bigint)
select count(*)
from auth.users u
where u.instance_id = '00000000-0000-0000-0000-000000000000'
    and u.aud = $1
    and ($2::text is null
        or position($2 in u.email) > 0
        or position(lower($2) in lower(u.raw_user_meta_data ->> 'full_name')) > 0)
