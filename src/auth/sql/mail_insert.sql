-- mail_insert(id uuid, kind text, recipient text, user_id uuid?, data jsonb, expires_at timestamptz) -> ()
insert into basalt.mail (id, kind, recipient, user_id, data, expires_at) values ($1, $2, $3, $4, $5, $6)
