-- e2e_expired() -> (id uuid)
select id from basalt.e2e_session where expires_at <= now() order by expires_at limit 100
