-- SPDX-License-Identifier: Apache-2.0
--
-- What nodes of a project share. Schema `basalt` is no API schema: no request role can look into it.
-- These two tables belong to the migrating role and are open to the app owner only.

CREATE TABLE basalt.secret ( -- keys and passwords
    name       text PRIMARY KEY,
    value      text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE basalt.setting ( -- facts about this project, e.g. profile_table
    name  text PRIMARY KEY,
    value text NOT NULL
);

DO $rights$
BEGIN
    GRANT USAGE ON SCHEMA basalt TO supabase_auth_admin, supabase_storage_admin;
    GRANT SELECT ON basalt.migrations, basalt.setting TO supabase_auth_admin;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'postgres' AND pg_has_role(oid, 'MEMBER')) THEN
        GRANT USAGE ON SCHEMA basalt TO postgres;
        GRANT SELECT ON basalt.migrations TO postgres;
        GRANT SELECT, INSERT, UPDATE, DELETE ON basalt.secret, basalt.setting TO postgres;
    END IF;
END
$rights$;
