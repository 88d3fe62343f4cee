-- mail_read(id uuid) -> (kind text, recipient text, user_id uuid?, data jsonb?, state text, live boolean, created_at timestamptz)
select kind, recipient, user_id, data, state, expires_at > now() as live, created_at from basalt.mail where id = $1
