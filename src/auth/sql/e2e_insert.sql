-- e2e_insert(id uuid, user_id uuid, test_name text, credits bigint, expires_at timestamptz) -> ()
insert into basalt.e2e_session (id, user_id, test_name, credits, expires_at) values ($1, $2, $3, $4, $5)
