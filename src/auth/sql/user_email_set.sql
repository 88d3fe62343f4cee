-- user_email_set(id uuid, email text) -> ()
-- At once and confirmed: an anonymous user becomes a permanent one.
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
    updated_at = now()
where u.id = $1
