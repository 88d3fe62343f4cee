-- SPDX-License-Identifier: Apache-2.0
--
-- The profile: one row of an app's table for each user, written in the transaction that makes the
-- user. The functions below are the only place that forms its identifiers.
--
-- They belong to service_role and run as it (SECURITY DEFINER), since app tables, their policies and
-- their triggers know that role, and the auth login is a member of nothing. Only that login may call.
--
-- `target` is the table as SQL spells it: public.profiles, or "My App"."Profiles" where a name needs
-- quotes; without a schema, public is meant. Its key is the column `id`, with a unique index.
--
-- The search_path is for the app's triggers, which expect to find its names. pg_catalog stands first
-- and functions are qualified here, so nothing in it can come before what is meant.

-- Makes the row `id` of `target` with the given fields, or sets these fields of a row that is there
-- already: an app's own trigger on auth.users may have made it. Values take the types of their
-- columns. 42P01: no such table; 42703: a field is no column; 42501: a field may not be written.
CREATE FUNCTION basalt.profile_write(target text, id uuid, fields jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, extensions, pg_temp AS $f$
#variable_conflict use_column
DECLARE
    -- What auth.role(), auth.uid() and auth.jwt() read, as the caller left it.
    claims    CONSTANT text := pg_catalog.current_setting('request.jwt.claims', true);
    c_role    CONSTANT text := pg_catalog.current_setting('request.jwt.claim.role', true);
    c_sub     CONSTANT text := pg_catalog.current_setting('request.jwt.claim.sub', true);
    rel       regclass;
    statement text;
    refused   text;
    written   bigint;
BEGIN
    PERFORM pg_catalog.set_config('request.jwt.claims', '{"role":"service_role"}', true),
            pg_catalog.set_config('request.jwt.claim.role', 'service_role', true),
            pg_catalog.set_config('request.jwt.claim.sub', '', true);

    IF target = 'public.profiles' AND fields ?& '{name,role}' AND fields - '{name,role}'::text[] = '{}' THEN
        -- What the other branch would make of the usual signup, for its plan to be kept: half the cost.
        INSERT INTO public.profiles (id, name, role)
        SELECT profile_write.id, r.name, r.role
        FROM pg_catalog.jsonb_populate_record(NULL::public.profiles, profile_write.fields) r
        ON CONFLICT (id) DO UPDATE SET name = excluded.name, role = excluded.role;
    ELSE
        rel := pg_catalog.to_regclass(target);
        IF rel IS NULL THEN
            RAISE EXCEPTION 'relation "%" does not exist', target USING ERRCODE = 'undefined_table';
        END IF;
        -- has_column_privilege() raises 42703 for a column that is not there. `id` is a parameter of
        -- its own: as a field it could make the row of another user.
        SELECT CASE WHEN pg_catalog.count(*) = 0
               THEN pg_catalog.format('INSERT INTO %s (id) VALUES ($1) ON CONFLICT (id) DO NOTHING', rel)
               ELSE pg_catalog.format('INSERT INTO %1$s (id, %2$s) SELECT $1, %2$s'
                       ' FROM pg_catalog.jsonb_populate_record(NULL::%1$s, $2)'
                       ' ON CONFLICT (id) DO UPDATE SET %3$s', rel,
                       pg_catalog.string_agg(pg_catalog.format('%I', k), ', '),
                       pg_catalog.string_agg(pg_catalog.format('%1$I = excluded.%1$I', k), ', '))
               END,
               pg_catalog.min(k) FILTER (WHERE k = 'id'
                                            OR NOT pg_catalog.has_column_privilege(rel, k, 'INSERT'))
        INTO statement, refused
        FROM pg_catalog.jsonb_object_keys(fields) k;
        IF refused IS NOT NULL THEN
            RAISE EXCEPTION 'column "%" of profile table % may not be written', refused, rel
                USING ERRCODE = 'insufficient_privilege', COLUMN = refused;
        END IF;
        EXECUTE statement USING profile_write.id, fields;
    END IF;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written = 0 THEN
        -- Either nothing was given and the row was there, or a BEFORE trigger swallowed the write.
        IF fields <> '{}' OR basalt.profile_read(target, profile_write.id) IS NULL THEN
            RAISE EXCEPTION 'no row was written to %: a trigger skipped it', target
                USING ERRCODE = 'triggered_action_exception';
        END IF;
    END IF;

    -- Deferred triggers and constraints of the app fire here, so that they run as service_role and
    -- fail as a statement; at COMMIT they would run as the auth login, which can read none of it.
    SET CONSTRAINTS ALL IMMEDIATE;

    PERFORM pg_catalog.set_config('request.jwt.claims', coalesce(claims, ''), true),
            pg_catalog.set_config('request.jwt.claim.role', coalesce(c_role, ''), true),
            pg_catalog.set_config('request.jwt.claim.sub', coalesce(c_sub, ''), true);
END
$f$;

-- The row `id` of `target` with all its columns, NULL when there is none. 42P01: no such table.
CREATE FUNCTION basalt.profile_read(target text, id uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, extensions, pg_temp AS $f$
DECLARE
    rel     CONSTANT regclass := pg_catalog.to_regclass(target);
    profile jsonb;
BEGIN
    IF rel IS NULL THEN
        RAISE EXCEPTION 'relation "%" does not exist', target USING ERRCODE = 'undefined_table';
    END IF;
    EXECUTE pg_catalog.format('SELECT pg_catalog.to_jsonb(p) FROM %s p WHERE p.id = $1', rel)
        INTO profile USING id;
    RETURN profile;
END
$f$;

DO $rights$
DECLARE
    v16 CONSTANT boolean := current_setting('server_version_num')::int >= 160000;
BEGIN
    REVOKE ALL ON FUNCTION basalt.profile_write(text, uuid, jsonb), basalt.profile_read(text, uuid)
        FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION basalt.profile_write(text, uuid, jsonb),
        basalt.profile_read(text, uuid) TO supabase_auth_admin;
    IF pg_has_role('service_role', CASE WHEN v16 THEN 'SET' ELSE 'MEMBER' END) THEN
        -- The owner needs CREATE for the moment of the change, and USAGE for the call from one to
        -- the other. USAGE opens nothing: what is in this schema is granted one by one.
        GRANT USAGE, CREATE ON SCHEMA basalt TO service_role;
        ALTER FUNCTION basalt.profile_write(text, uuid, jsonb) OWNER TO service_role;
        ALTER FUNCTION basalt.profile_read(text, uuid) OWNER TO service_role;
        REVOKE CREATE ON SCHEMA basalt FROM service_role;
    ELSE
        RAISE NOTICE 'profiles are written as % instead of service_role', current_user;
    END IF;
END
$rights$;
