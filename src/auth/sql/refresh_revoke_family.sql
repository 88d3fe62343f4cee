-- refresh_revoke_family(session_id uuid) -> ()
update auth.refresh_tokens set revoked = true, updated_at = now() where session_id = $1 and revoked is not true
