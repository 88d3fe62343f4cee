-- user_update(id uuid, role text?, aud text?, email text?, email_confirmed boolean?, phone text?, phone_confirmed boolean?,
--   encrypted_password text?, app_metadata jsonb?, user_metadata jsonb?, set_ban boolean, banned_until timestamptz?) -> (id uuid)
-- Null keeps; metadata is merged key by key and a null in it deletes the key, as GoTrue does.
update auth.users u
set role = coalesce($2, u.role),
    aud = coalesce($3, u.aud),
    email = coalesce(
        (
            select o.email -- another's, in whatever letter case: breaks the unique index
            from auth.users o
            where o.instance_id = '00000000-0000-0000-0000-000000000000' and lower(o.email) = $4
                and not o.is_sso_user and o.id <> $1
            limit 1
        ),
        $4, u.email),
    email_confirmed_at = case when $5 then coalesce(u.email_confirmed_at, now()) else u.email_confirmed_at end,
    phone = coalesce($6, u.phone),
    phone_confirmed_at = case when $7 then coalesce(u.phone_confirmed_at, now()) else u.phone_confirmed_at end,
    encrypted_password = coalesce($8, u.encrypted_password),
    raw_app_meta_data = (
        select coalesce(jsonb_object_agg(m.key, m.value), '{}')
        from jsonb_each(case when jsonb_typeof(u.raw_app_meta_data) = 'object' then u.raw_app_meta_data else '{}' end || coalesce($9, '{}')) m
        where not coalesce($9, '{}') @> jsonb_build_object(m.key, null)
    ),
    raw_user_meta_data = (
        select coalesce(jsonb_object_agg(m.key, m.value), '{}')
        from jsonb_each(case when jsonb_typeof(u.raw_user_meta_data) = 'object' then u.raw_user_meta_data else '{}' end || coalesce($10, '{}')) m
        where not coalesce($10, '{}') @> jsonb_build_object(m.key, null)
    ),
    banned_until = case when $11 then $12 else u.banned_until end,
    email_change = case when $4 is null then u.email_change else '' end,
    email_change_confirm_status = case when $4 is null then u.email_change_confirm_status else 0 end,
    updated_at = now()
where u.id = $1
returning u.id
