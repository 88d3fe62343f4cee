-- user_update_write(id uuid, email_read text, old_hash text?, new_hash text?, user_metadata jsonb?, app_metadata jsonb?,
--   session_id uuid?) -> (id uuid)
-- No row: the address or, where one is set, the password is not what was read before the hash, or the
-- session has ended since. Null keeps; metadata is merged key by key, and a null in it deletes the key.
update auth.users u
set encrypted_password = coalesce($4, u.encrypted_password),
    raw_user_meta_data = (
        select coalesce(jsonb_object_agg(m.key, m.value), '{}')
        from jsonb_each(case when jsonb_typeof(u.raw_user_meta_data) = 'object' then u.raw_user_meta_data else '{}' end || coalesce($5, '{}')) m
        where not coalesce($5, '{}') @> jsonb_build_object(m.key, null)
    ),
    raw_app_meta_data = (
        select coalesce(jsonb_object_agg(m.key, m.value), '{}')
        from jsonb_each(case when jsonb_typeof(u.raw_app_meta_data) = 'object' then u.raw_app_meta_data else '{}' end || coalesce($6, '{}')) m
        where not coalesce($6, '{}') @> jsonb_build_object(m.key, null)
    ),
    updated_at = now()
where u.id = $1
    and coalesce(u.email, '') = $2
    and ($4 is null or coalesce(u.encrypted_password, '') = $3)
    and ($7 is null or exists (select from auth.sessions s where s.id = $7 and s.user_id = u.id))
    and u.deleted_at is null
    and (u.banned_until is null or u.banned_until <= now())
returning u.id
