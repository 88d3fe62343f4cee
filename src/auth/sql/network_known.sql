-- network_known(email text, aud text, ip inet) -> (known boolean)
select exists (
    select from auth.users u
    join basalt.known_network k on k.user_id = u.id
    where u.instance_id = '00000000-0000-0000-0000-000000000000'
        and lower(u.email) = lower($1)
        and u.aud = $2
        and not u.is_sso_user
        and k.network >>= $3
) as known
