-- SPDX-License-Identifier: Apache-2.0
--
-- What happened, append-only. `id` is a version 7 UUID of the writer, so that replaying a journal is
-- idempotent; `seq` gives readers a cursor. Rows of a change are written in its own transaction.

CREATE TABLE basalt.audit_event (
    id         uuid PRIMARY KEY,
    seq        bigint GENERATED ALWAYS AS IDENTITY,
    at         timestamptz NOT NULL DEFAULT now(),
    name       text NOT NULL,
    outcome    text NOT NULL,
    actor_id   uuid,
    actor_kind text,
    subject_id uuid,
    ip         text,
    user_agent text,
    request_id text,
    detail     jsonb
);
CREATE INDEX audit_event_at_idx ON basalt.audit_event (at);
CREATE INDEX audit_event_actor_idx ON basalt.audit_event (actor_id, at) WHERE actor_id IS NOT NULL;
CREATE INDEX audit_event_subject_idx ON basalt.audit_event (subject_id, at)
    WHERE subject_id IS NOT NULL;

DO $rights$
DECLARE
    me     CONSTANT name := current_user;
    v16    CONSTANT boolean := current_setting('server_version_num')::int >= 160000;
    reader name;
BEGIN
    IF pg_has_role('supabase_auth_admin', CASE WHEN v16 THEN 'SET' ELSE 'MEMBER' END) THEN
        -- A new owner must be able to create in the schema, for the moment of the change.
        GRANT CREATE ON SCHEMA basalt TO supabase_auth_admin;
        ALTER TABLE basalt.audit_event OWNER TO supabase_auth_admin;
        REVOKE CREATE ON SCHEMA basalt FROM supabase_auth_admin;
        SET LOCAL ROLE supabase_auth_admin;
    ELSE
        GRANT SELECT, INSERT, DELETE ON basalt.audit_event TO supabase_auth_admin;
    END IF;

    -- Retention deletes as supabase_auth_admin. Other logins may only add, and authenticator not
    -- even that: a request's SQL can fall back to its login, and could forge events.
    GRANT INSERT ON basalt.audit_event TO supabase_storage_admin;
    FOR reader IN
        SELECT rolname FROM pg_roles
        WHERE (rolname = 'postgres' AND pg_has_role(me, oid, 'MEMBER'))
           OR (rolname = me AND NOT rolsuper)
    LOOP
        EXECUTE format('GRANT SELECT ON basalt.audit_event TO %I', reader);
    END LOOP;
    EXECUTE format('SET LOCAL ROLE %I', me);
END
$rights$;
