-- e2e_count() -> (active bigint, expired bigint)
select count(*) filter (where expires_at > now()), count(*) filter (where expires_at <= now())
from basalt.e2e_session
