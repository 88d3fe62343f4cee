-- SPDX-License-Identifier: Apache-2.0
--
-- The queue and the outbox for the app's owner and `basalt doctor`: how things stand, without payloads
-- and without what mails say.

CREATE VIEW basalt.job_state AS
SELECT id, kind, run_at, attempts, last_error, created_at, dead_at FROM basalt.job;

CREATE VIEW basalt.mail_state AS
SELECT id, kind, recipient, user_id, state, attempts, last_error, created_at, done_at FROM basalt.mail;

DO $rights$
DECLARE
    me     CONSTANT name := current_user;
    v16    CONSTANT boolean := current_setting('server_version_num')::int >= 160000;
    reader name;
BEGIN
    IF pg_has_role('supabase_auth_admin', CASE WHEN v16 THEN 'SET' ELSE 'MEMBER' END) THEN
        -- A view reads with its owner's rights.
        GRANT CREATE ON SCHEMA basalt TO supabase_auth_admin;
        ALTER VIEW basalt.job_state OWNER TO supabase_auth_admin;
        ALTER VIEW basalt.mail_state OWNER TO supabase_auth_admin;
        REVOKE CREATE ON SCHEMA basalt FROM supabase_auth_admin;
        SET LOCAL ROLE supabase_auth_admin;
    END IF;
    FOR reader IN
        SELECT rolname FROM pg_roles
        WHERE (rolname = 'postgres' AND pg_has_role(me, oid, 'MEMBER'))
           OR (rolname = me AND NOT rolsuper)
    LOOP
        EXECUTE format('GRANT SELECT ON basalt.job_state, basalt.mail_state TO %I', reader);
    END LOOP;
    EXECUTE format('SET LOCAL ROLE %I', me);
END
$rights$;
