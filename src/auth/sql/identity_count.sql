-- identity_count(user_id uuid) -> (total bigint)
select count(*) from auth.identities where user_id = $1
