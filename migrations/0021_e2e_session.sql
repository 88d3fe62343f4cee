-- SPDX-License-Identifier: Apache-2.0
--
-- Users that tests have asked for (POST /api/v1/e2e/test-session), so that these and no others can be
-- removed by it, by hand or when their hour is over.
CREATE TABLE basalt.e2e_session (
    id         uuid PRIMARY KEY,
    user_id    uuid NOT NULL UNIQUE, -- no reference: what is left of a user that is gone is swept
    test_name  text NOT NULL,
    credits    bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX e2e_session_expires_at_idx ON basalt.e2e_session (expires_at);

DO $rights$
DECLARE
    me  CONSTANT name := current_user;
    v16 CONSTANT boolean := current_setting('server_version_num')::int >= 160000;
BEGIN
    IF pg_has_role('supabase_auth_admin', CASE WHEN v16 THEN 'SET' ELSE 'MEMBER' END) THEN
        -- A new owner must be able to create in the schema, for the moment of the change.
        GRANT CREATE ON SCHEMA basalt TO supabase_auth_admin;
        ALTER TABLE basalt.e2e_session OWNER TO supabase_auth_admin;
        REVOKE CREATE ON SCHEMA basalt FROM supabase_auth_admin;
    ELSE
        GRANT SELECT, INSERT, DELETE ON basalt.e2e_session TO supabase_auth_admin;
    END IF;
END
$rights$;
