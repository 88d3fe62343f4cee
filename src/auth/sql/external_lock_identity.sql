-- external_lock_identity(provider text, provider_id text) -> (id uuid)
-- Of the user, so that nothing about them changes until the end.
select u.id
from auth.identities i
join auth.users u on u.id = i.user_id
where i.provider = $1 and i.provider_id = $2 and u.deleted_at is null
for update of u
