-- user_insert(id uuid, aud text, role text, email text?, phone text?, encrypted_password text,
--   email_confirmed boolean, phone_confirmed boolean, app_metadata jsonb, user_metadata jsonb,
--   banned_until timestamptz?, is_anonymous boolean) -> ()
-- A row that SQL wrote in other letter case would not break the unique index, so its very spelling is
-- inserted: that does. (email comes in lower case.)
insert into auth.users (
    instance_id, id, aud, role, email, phone, encrypted_password, email_confirmed_at, phone_confirmed_at,
    confirmation_token, recovery_token, email_change_token_new, email_change,
    raw_app_meta_data, raw_user_meta_data, banned_until, is_anonymous, created_at, updated_at
)
values (
    '00000000-0000-0000-0000-000000000000', $1, $2, $3,
    coalesce(
        (
            select u.email
            from auth.users u
            where u.instance_id = '00000000-0000-0000-0000-000000000000' and lower(u.email) = $4 and not u.is_sso_user
            limit 1
        ),
        $4),
    $5, $6,
    case when $7 then now() end, case when $8 then now() end,
    '', '', '', '',
    $9, $10, $11, $12, now(), now()
)
