-- SPDX-License-Identifier: Apache-2.0
--
-- The project as Supabase hands it to an app: who owns the database, schema `extensions`, the empty
-- publication, and the default privileges of `public`.
--
-- "App owner" below is the role that runs the app's migrations: `postgres` where the caller may
-- become it, else (an external database) the caller itself.

DO $project$
DECLARE
    me        name := current_user;
    super     boolean := (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
    v16       boolean := current_setting('server_version_num')::int >= 160000;
    app_owner name := me;
    messages  text := current_setting('client_min_messages');
    r         record;
BEGIN
    -- Role names are looked up in a subquery: pg_has_role() raises for a role that does not exist.
    IF EXISTS (SELECT FROM pg_roles p WHERE p.rolname = 'postgres'
               AND pg_has_role(p.oid, CASE WHEN v16 THEN 'SET' ELSE 'MEMBER' END)) THEN
        app_owner := 'postgres';
    END IF;

    -- A private cluster belongs to its app; a database somebody else made stays theirs.
    IF super AND me = 'supabase_admin' AND app_owner = 'postgres'
       AND (SELECT datdba = me::regrole FROM pg_database WHERE datname = current_database()) THEN
        EXECUTE format('ALTER DATABASE %I OWNER TO postgres', current_database());
        ALTER SCHEMA public OWNER TO postgres;
        REVOKE CREATE ON SCHEMA public FROM PUBLIC; -- as PostgreSQL 15 does; 14 does not
    END IF;

    IF super AND app_owner <> me THEN -- schemas, extensions and publications of the app
        EXECUTE format('GRANT ALL ON DATABASE %I TO %I', current_database(), app_owner);
    END IF;

    -- The CLI alters its own table, so it must own it.
    IF app_owner <> me
       AND (SELECT nspowner = me::regrole FROM pg_namespace WHERE nspname = 'supabase_migrations') THEN
        EXECUTE format('ALTER SCHEMA supabase_migrations OWNER TO %I', app_owner);
        EXECUTE format('ALTER TABLE supabase_migrations.schema_migrations OWNER TO %I', app_owner);
    END IF;

    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'extensions') THEN
        EXECUTE format('CREATE SCHEMA extensions AUTHORIZATION %I', app_owner);
    END IF;
    IF pg_has_role((SELECT nspowner FROM pg_namespace WHERE nspname = 'extensions'), 'USAGE') THEN
        GRANT USAGE ON SCHEMA extensions TO anon, authenticated, service_role, authenticator;
        EXECUTE format('GRANT ALL ON SCHEMA extensions TO %I', app_owner);
    END IF;

    -- Both are trusted extensions: the app owner makes them, and so may later update or drop them.
    EXECUTE format('SET LOCAL ROLE %I', app_owner);
    FOR r IN
        SELECT name FROM pg_available_extensions
        WHERE name IN ('pgcrypto', 'uuid-ossp') AND installed_version IS NULL
    LOOP
        BEGIN
            EXECUTE format('CREATE EXTENSION %I WITH SCHEMA extensions', r.name);
        EXCEPTION WHEN insufficient_privilege OR undefined_file THEN
            RAISE NOTICE 'extension % was not made: %', r.name, SQLERRM;
        END;
    END LOOP;

    -- App migrations ALTER this publication. The warning about wal_level is for who reads it.
    IF NOT EXISTS (SELECT FROM pg_publication WHERE pubname = 'supabase_realtime') THEN
        BEGIN
            PERFORM set_config('client_min_messages', 'error', true);
            CREATE PUBLICATION supabase_realtime;
            PERFORM set_config('client_min_messages', messages, true);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'publication supabase_realtime was not made: %', SQLERRM;
        END;
    END IF;
    EXECUTE format('SET LOCAL ROLE %I', me);

    -- Whoever may not grant here gets by with what PUBLIC has: USAGE, unless it was taken away.
    BEGIN
        IF pg_has_role((SELECT nspowner FROM pg_namespace WHERE nspname = 'public'), 'USAGE') THEN
            GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;
            EXECUTE format('GRANT ALL ON SCHEMA public TO %I', app_owner);
        ELSIF NOT (has_schema_privilege('anon', 'public', 'USAGE')
                   AND has_schema_privilege('authenticated', 'public', 'USAGE')
                   AND has_schema_privilege('service_role', 'public', 'USAGE')) THEN
            GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;
        END IF;
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE NOTICE 'the owner of schema public must run'
            ' "GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role"';
    END;

    -- What these roles make in `public` is reachable by the API; row level security decides the rest.
    FOR r IN
        SELECT p.rolname AS maker, o.kind
        FROM pg_roles p, (VALUES ('TABLES'), ('SEQUENCES'), ('FUNCTIONS')) AS o(kind)
        WHERE p.rolname IN ('postgres', 'supabase_admin', me) AND pg_has_role(p.oid, 'USAGE')
    LOOP
        EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA public GRANT ALL ON %s'
                       ' TO %I, anon, authenticated, service_role', r.maker, r.kind, app_owner);
    END LOOP;
END
$project$;
