-- identity_delete(id uuid, user_id uuid) -> (provider text, provider_id text)
-- Never the last one.
delete from auth.identities i
where i.id = $1 and i.user_id = $2
    and exists (select from auth.identities o where o.user_id = $2 and o.id <> $1)
returning i.provider, i.provider_id
