-- flow_spend(id uuid) -> ()
-- The row stays for a day, so that a second exchange is told why it fails; its secrets go.
update auth.flow_state
set code_challenge = '', provider_access_token = null, provider_refresh_token = null, updated_at = now()
where id = $1
