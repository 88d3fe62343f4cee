-- SPDX-License-Identifier: Apache-2.0
--
-- Roles (docs: architecture "Who logs in"). Passwords are set elsewhere, by whoever opens the logins.
--
-- Two kinds of caller: the superuser of a private cluster, or, on an external database, a role with
-- CREATEROLE that is no superuser. A role that exists is kept as it is; only what lacks is added,
-- and what only a superuser may add is a NOTICE here and a sentence of `basalt doctor` later.

DO $roles$
DECLARE
    super boolean := (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
    v16   boolean := current_setting('server_version_num')::int >= 160000;
    made_postgres boolean := false;
    r record;
BEGIN
    -- supabase_auth_admin gets no CREATEROLE, unlike older Supabase images: auth's statements never
    -- make a role, and up to PostgreSQL 15 that attribute is membership in every other role.
    FOR r IN
        SELECT * FROM (VALUES
            ('anon',                   'NOLOGIN NOINHERIT'),
            ('authenticated',          'NOLOGIN NOINHERIT'),
            ('authenticator',          'LOGIN NOINHERIT'),
            ('supabase_auth_admin',    'LOGIN NOINHERIT'),
            ('supabase_storage_admin', 'LOGIN NOINHERIT')
        ) AS v(name, attributes)
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r.name) THEN
            EXECUTE format('CREATE ROLE %I %s', r.name, r.attributes);
            -- Whose passwords may be set: roles are the whole cluster's, and another project's stay.
            IF r.attributes LIKE 'LOGIN%' THEN
                EXECUTE format('COMMENT ON ROLE %I IS %L', r.name,
                               'basalt: login of database ' || current_database());
            END IF;
        END IF;
    END LOOP;

    -- BYPASSRLS: up to PostgreSQL 15 only a superuser gives it, from 16 on also who has it.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'service_role') THEN
        CREATE ROLE service_role NOLOGIN NOINHERIT;
    END IF;
    IF NOT (SELECT rolbypassrls FROM pg_roles WHERE rolname = 'service_role') THEN
        BEGIN
            ALTER ROLE service_role BYPASSRLS;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'service_role stays without BYPASSRLS: a superuser can run'
                ' "ALTER ROLE service_role BYPASSRLS"';
        END;
    END IF;

    -- The role behind DB_URL: runs the app's migrations, owns `public`, is no superuser.
    IF super AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'postgres') THEN
        CREATE ROLE postgres LOGIN CREATEDB CREATEROLE BYPASSRLS;
        made_postgres := true;
    END IF;

    -- authenticator may become the three request roles and nothing else: SQL that a request reaches
    -- can switch to every role that the login is a member of.
    FOR r IN
        SELECT api.name, m.rolname AS member
        FROM (VALUES ('anon'), ('authenticated'), ('service_role')) AS api(name), pg_roles m
        WHERE m.rolname IN ('authenticator', 'postgres') AND NOT m.rolsuper
          AND m.rolname <> current_user AND NOT pg_has_role(m.oid, api.name, 'MEMBER')
    LOOP
        BEGIN
            EXECUTE format('GRANT %I TO %I', r.name, r.member);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'may not grant % to %: an administrator of that role can', r.name, r.member;
        END;
    END LOOP;

    -- Making objects of another role needs membership in it. A superuser has it; up to PostgreSQL 15
    -- CREATEROLE may grant it to itself; from 16 on the creator of a role holds its ADMIN option,
    -- but neither SET nor INHERIT, and may grant itself both.
    IF NOT super THEN
        FOR r IN
            SELECT * FROM (VALUES ('anon'), ('authenticated'), ('service_role'), ('authenticator'),
                ('supabase_auth_admin'), ('supabase_storage_admin')) AS v(name)
            WHERE v.name <> current_user
        LOOP
            BEGIN
                IF NOT v16 THEN
                    IF NOT pg_has_role(r.name, 'MEMBER') THEN
                        EXECUTE format('GRANT %I TO %I', r.name, current_user);
                    END IF;
                ELSIF NOT (pg_has_role(r.name, 'SET') AND pg_has_role(r.name, 'USAGE')) THEN
                    EXECUTE format('GRANT %I TO %I WITH INHERIT TRUE, SET TRUE',
                                   r.name, current_user);
                END IF;
            EXCEPTION WHEN insufficient_privilege THEN
                RAISE NOTICE 'may not become %: what it owns cannot be completed here', r.name;
            END;
        END LOOP;
    END IF;

    -- search_path, where the role has none of its own yet.
    FOR r IN
        SELECT v.* FROM (VALUES
            ('authenticator',          '"$user", public, extensions'),
            ('postgres',               '"$user", public, extensions'),
            ('supabase_auth_admin',    'auth'),
            ('supabase_storage_admin', 'storage')
        ) AS v(name, path)
        JOIN pg_roles p ON p.rolname = v.name
        WHERE NOT EXISTS (SELECT FROM unnest(p.rolconfig) c WHERE c LIKE 'search\_path=%')
          AND (v.name <> 'postgres' OR made_postgres)
    LOOP
        BEGIN
            EXECUTE format('ALTER ROLE %I SET search_path = %s', r.name, r.path);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'may not set the search_path of %', r.name;
        END;
    END LOOP;

    -- Databases that took CONNECT from PUBLIC.
    FOR r IN
        SELECT rolname AS name FROM pg_roles
        WHERE rolname IN ('authenticator', 'postgres', 'supabase_auth_admin', 'supabase_storage_admin')
          AND NOT has_database_privilege(oid, current_database(), 'CONNECT')
    LOOP
        BEGIN
            EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), r.name);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE NOTICE 'may not let % connect to this database', r.name;
        END;
    END LOOP;
END
$roles$;
