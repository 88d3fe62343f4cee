-- SPDX-License-Identifier: Apache-2.0
--
-- Basalt's own tables. Schema `basalt` is no API schema: no request role has USAGE on it. Secrets
-- and settings belong to the migrating role and are open to the app owner only.

CREATE TABLE basalt.secret ( -- keys and passwords that all nodes of a project share
    name       text PRIMARY KEY,
    value      text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE basalt.setting ( -- facts about this project, e.g. profile_table
    name  text PRIMARY KEY,
    value text NOT NULL
);

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
    v16 boolean := current_setting('server_version_num')::int >= 160000;
BEGIN
    GRANT USAGE ON SCHEMA basalt TO supabase_auth_admin, supabase_storage_admin;
    GRANT SELECT ON basalt.migrations, basalt.setting TO supabase_auth_admin;

    -- Retention deletes as supabase_auth_admin; other logins may only add.
    GRANT INSERT ON basalt.audit_event TO supabase_storage_admin;
    IF pg_has_role('supabase_auth_admin', CASE WHEN v16 THEN 'SET' ELSE 'MEMBER' END) THEN
        -- A new owner must be able to create in the schema, for the moment of the change.
        GRANT CREATE ON SCHEMA basalt TO supabase_auth_admin;
        ALTER TABLE basalt.audit_event OWNER TO supabase_auth_admin;
        REVOKE CREATE ON SCHEMA basalt FROM supabase_auth_admin;
    ELSE
        GRANT SELECT, INSERT, DELETE ON basalt.audit_event TO supabase_auth_admin;
    END IF;

    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'postgres' AND pg_has_role(oid, 'MEMBER')) THEN
        GRANT USAGE ON SCHEMA basalt TO postgres;
        GRANT SELECT ON basalt.migrations, basalt.audit_event TO postgres;
        GRANT SELECT, INSERT, UPDATE, DELETE ON basalt.secret, basalt.setting TO postgres;
    END IF;
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT SELECT ON basalt.audit_event TO %I', current_user);
    END IF;
END
$rights$;
