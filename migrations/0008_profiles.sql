-- SPDX-License-Identifier: Apache-2.0
--
-- public.profiles, for a new project only: no table in `public`, no user, and no app migrations
-- waiting that may bring a table of this name (the migrator then sets basalt.app_migrations).

-- Keeps updated_at of public.profiles true.
CREATE FUNCTION basalt.profile_touch() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$f$;

DO $profiles$
DECLARE
    me        CONSTANT name := current_user;
    v16       CONSTANT boolean := current_setting('server_version_num')::int >= 160000;
    app_owner name := me;
    is_new    boolean;
BEGIN
    PERFORM set_config('row_security', 'off', true); -- an error rather than a hidden row
    BEGIN
        IF pg_has_role('supabase_auth_admin', CASE WHEN v16 THEN 'SET' ELSE 'MEMBER' END) THEN
            SET LOCAL ROLE supabase_auth_admin; -- who is sure to see auth.users
        END IF;
        is_new := coalesce(current_setting('basalt.app_migrations', true), '') = ''
            AND NOT EXISTS (SELECT FROM auth.users)
            AND NOT EXISTS (SELECT FROM pg_class c
                            WHERE c.relnamespace = 'public'::regnamespace
                              AND (c.relkind IN ('r', 'p', 'f') OR c.relname = 'profiles')
                              AND NOT EXISTS (SELECT FROM pg_depend d
                                              WHERE d.classid = 'pg_class'::regclass
                                                AND d.objid = c.oid AND d.deptype = 'e'));
    EXCEPTION WHEN insufficient_privilege THEN
        is_new := false;
    END;
    PERFORM set_config('row_security', 'on', true);
    EXECUTE format('SET LOCAL ROLE %I', me);

    IF EXISTS (SELECT FROM pg_roles p WHERE p.rolname = 'postgres'
               AND pg_has_role(p.oid, CASE WHEN v16 THEN 'SET' ELSE 'MEMBER' END)) THEN
        app_owner := 'postgres';
    END IF;
    IF NOT is_new OR NOT has_schema_privilege(app_owner, 'public', 'CREATE') THEN
        RETURN;
    END IF;

    EXECUTE format('GRANT USAGE ON SCHEMA basalt TO %I', app_owner);
    EXECUTE format('SET LOCAL ROLE %I', app_owner);

    CREATE TABLE public.profiles (
        id                   uuid PRIMARY KEY REFERENCES auth.users (id) ON DELETE CASCADE,
        name                 text,
        role                 text NOT NULL DEFAULT 'basic_user', -- the app's word, no database role
        onboarding_completed boolean NOT NULL DEFAULT false,
        full_name            text,
        avatar_url           text,
        country              text,
        -- The bound also keeps out NaN and infinity, which JSON could not carry back.
        annual_income        numeric CHECK (annual_income BETWEEN 0 AND 1000000000000),
        timezone             text,
        created_at           timestamptz NOT NULL DEFAULT now(),
        updated_at           timestamptz NOT NULL DEFAULT now()
    );
    CREATE TRIGGER profiles_touch BEFORE UPDATE ON public.profiles
        FOR EACH ROW EXECUTE FUNCTION basalt.profile_touch();

    ALTER TABLE public.profiles ENABLE ROW LEVEL SECURITY;
    CREATE POLICY "own profile: read" ON public.profiles FOR SELECT TO authenticated
        USING ((SELECT auth.uid()) = id);
    CREATE POLICY "own profile: change" ON public.profiles FOR UPDATE TO authenticated
        USING ((SELECT auth.uid()) = id) WITH CHECK ((SELECT auth.uid()) = id);
    -- For databases where service_role could not get BYPASSRLS.
    CREATE POLICY "service: everything" ON public.profiles TO service_role
        USING (true) WITH CHECK (true);

    -- Rows are made at signup alone. `role` decides what the app lets a user do, so no client may
    -- set it: the grant lists the columns that are the user's own.
    REVOKE ALL ON public.profiles FROM anon, authenticated;
    GRANT SELECT ON public.profiles TO authenticated;
    GRANT UPDATE (name, full_name, avatar_url, country, annual_income, timezone,
                  onboarding_completed) ON public.profiles TO authenticated;
    GRANT ALL ON public.profiles TO service_role;

    EXECUTE format('SET LOCAL ROLE %I', me);
    INSERT INTO basalt.setting (name, value) VALUES ('profile_table', 'public.profiles');
END
$profiles$;
