-- flow_issue(user_id uuid, authentication_method text) -> (auth_code text)
update auth.flow_state
set auth_code_issued_at = now(), updated_at = now()
where id = (
    select f.id
    from auth.flow_state f
    where f.user_id = $1 and f.authentication_method = $2
    order by f.created_at desc
    limit 1
)
returning coalesce(auth_code, '')
