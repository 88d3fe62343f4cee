-- verify_change(id uuid) -> ()
-- The new address takes its place; another user who has it by now breaks the unique index.
update auth.users u
set email = coalesce(
        (
            select o.email -- another's, in whatever letter case
            from auth.users o
            where o.instance_id = u.instance_id and lower(o.email) = lower(u.email_change) and not o.is_sso_user and o.id <> u.id
            limit 1
        ),
        u.email_change),
    email_change = '',
    email_change_token_new = '',
    email_change_token_current = '',
    email_change_confirm_status = 0,
    email_confirmed_at = coalesce(u.email_confirmed_at, now()),
    is_anonymous = false,
    updated_at = now()
where u.id = $1 and u.email_change <> ''
