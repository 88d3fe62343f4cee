-- flow_lock(auth_code text) -> (id uuid, user_id uuid?, code_challenge_method text, code_challenge text,
--   authentication_method text, created_at timestamptz?, auth_code_issued_at timestamptz?,
--   provider_access_token text, provider_refresh_token text)
-- An empty challenge: the code was exchanged before.
select f.id, f.user_id, coalesce(f.code_challenge_method::text, ''), coalesce(f.code_challenge, ''),
    f.authentication_method, f.created_at, f.auth_code_issued_at,
    coalesce(f.provider_access_token, ''), coalesce(f.provider_refresh_token, '')
from auth.flow_state f
where f.auth_code = $1 and f.user_id is not null
for update
