-- SPDX-License-Identifier: Apache-2.0
--
-- The profile: one row of an app's table for each user, written in the transaction that makes the
-- user. The functions below are the only place that forms its identifiers.
--
-- They belong to service_role and run as it (SECURITY DEFINER), since app tables, their policies and
-- their triggers know that role, and the auth login is a member of nothing. Only that login may call.
--
-- `target` is the table as SQL spells it, with its schema: public.profiles, or "My App"."Profiles"
-- where a name needs quotes. Its key is the column `id`, with a unique index.

-- The table named `target`; 22023 when the name has not two parts, 42P01 when there is no such table.
CREATE FUNCTION basalt.profile_relation(target text) RETURNS regclass
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $f$
DECLARE
    rel regclass := to_regclass(target);
BEGIN
    IF cardinality(parse_ident(target)) <> 2 THEN
        RAISE EXCEPTION 'the profile table must be named as schema.table, not "%"', target
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF rel IS NULL THEN
        RAISE EXCEPTION 'relation "%" does not exist', target USING ERRCODE = 'undefined_table';
    END IF;
    RETURN rel;
END
$f$;

-- Makes the row `id` of `target` with the given fields, or sets these fields of a row that is there
-- already: an app's own trigger on auth.users may have made it. Values take the types of their
-- columns. A field that is no column is 42703 and named.
CREATE FUNCTION basalt.profile_write(target text, id uuid, fields jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
DECLARE
    rel     CONSTANT regclass := basalt.profile_relation(target);
    given   CONSTANT jsonb := coalesce(fields, '{}');
    -- What auth.role(), auth.uid(), auth.email() and auth.jwt() read, as the caller left it.
    claims  CONSTANT text := current_setting('request.jwt.claims', true);
    claim   CONSTANT text := current_setting('request.jwt.claim', true);
    c_role  CONSTANT text := current_setting('request.jwt.claim.role', true);
    c_sub   CONSTANT text := current_setting('request.jwt.claim.sub', true);
    c_email CONSTANT text := current_setting('request.jwt.claim.email', true);
    columns text;
    setters text;
    unknown text;
    written bigint;
BEGIN
    -- `id` is a parameter of its own: as a field it could make the row of another user.
    SELECT string_agg(format('%I', k), ', '), string_agg(format('%1$I = excluded.%1$I', k), ', '),
           min(k) FILTER (WHERE a.attnum IS NULL OR k = 'id')
    INTO columns, setters, unknown
    FROM jsonb_object_keys(given) AS k
    LEFT JOIN pg_attribute a
        ON a.attrelid = rel AND a.attname = k AND a.attnum > 0 AND NOT a.attisdropped;
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'column "%" of the profile table % does not exist or is not writable', unknown, rel
            USING ERRCODE = 'undefined_column', COLUMN = unknown;
    END IF;

    PERFORM set_config('request.jwt.claims', '{"role":"service_role"}', true),
            set_config('request.jwt.claim', '', true),
            set_config('request.jwt.claim.role', 'service_role', true),
            set_config('request.jwt.claim.sub', '', true),
            set_config('request.jwt.claim.email', '', true);

    -- The app's triggers expect to find its names. From here to the end everything of ours is
    -- qualified; the function's own SET brings the caller's path back.
    PERFORM set_config('search_path', 'public, extensions, pg_temp', true);
    IF columns IS NULL THEN
        EXECUTE pg_catalog.format('INSERT INTO %s (id) VALUES ($1) ON CONFLICT (id) DO NOTHING', rel)
            USING id;
    ELSE
        EXECUTE pg_catalog.format(
            'INSERT INTO %1$s (id, %2$s) SELECT $1, %2$s FROM pg_catalog.jsonb_populate_record(NULL::%1$s, $2)'
            ' ON CONFLICT (id) DO UPDATE SET %3$s', rel, columns, setters)
            USING id, given;
    END IF;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written OPERATOR(pg_catalog.=) 0 THEN
        -- Either the row was there and nothing was given, or a BEFORE trigger swallowed the insert.
        EXECUTE pg_catalog.format('SELECT 1 FROM %s AS p WHERE p.id = $1', rel) USING id;
        GET DIAGNOSTICS written = ROW_COUNT;
        IF columns IS NOT NULL OR written OPERATOR(pg_catalog.=) 0 THEN
            RAISE EXCEPTION 'no row was written to %: a trigger skipped it', rel
                USING ERRCODE = 'triggered_action_exception';
        END IF;
    END IF;

    -- Deferred triggers and constraints of the app fire here, so that they run as service_role and
    -- fail as a statement; at COMMIT they would run as the auth login, which can read none of it.
    SET CONSTRAINTS ALL IMMEDIATE;

    PERFORM pg_catalog.set_config('request.jwt.claims', coalesce(claims, ''), true),
            pg_catalog.set_config('request.jwt.claim', coalesce(claim, ''), true),
            pg_catalog.set_config('request.jwt.claim.role', coalesce(c_role, ''), true),
            pg_catalog.set_config('request.jwt.claim.sub', coalesce(c_sub, ''), true),
            pg_catalog.set_config('request.jwt.claim.email', coalesce(c_email, ''), true);
END
$f$;

-- The row `id` of `target` with all its columns, NULL when there is none.
CREATE FUNCTION basalt.profile_read(target text, id uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $f$
DECLARE
    profile jsonb;
BEGIN
    EXECUTE format('SELECT to_jsonb(p) FROM %s AS p WHERE p.id = $1',
                   basalt.profile_relation(target))
        INTO profile USING id;
    RETURN profile;
END
$f$;

DO $rights$
DECLARE
    v16 boolean := current_setting('server_version_num')::int >= 160000;
BEGIN
    REVOKE ALL ON FUNCTION basalt.profile_relation(text), basalt.profile_write(text, uuid, jsonb),
        basalt.profile_read(text, uuid) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION basalt.profile_write(text, uuid, jsonb),
        basalt.profile_read(text, uuid) TO supabase_auth_admin;
    IF pg_has_role('service_role', CASE WHEN v16 THEN 'SET' ELSE 'MEMBER' END) THEN
        -- The owner needs USAGE at run time, to call the helper, and CREATE for the moment of the
        -- change. USAGE opens nothing: the tables and functions here are granted one by one.
        GRANT USAGE, CREATE ON SCHEMA basalt TO service_role;
        ALTER FUNCTION basalt.profile_relation(text) OWNER TO service_role;
        ALTER FUNCTION basalt.profile_write(text, uuid, jsonb) OWNER TO service_role;
        ALTER FUNCTION basalt.profile_read(text, uuid) OWNER TO service_role;
        REVOKE CREATE ON SCHEMA basalt FROM service_role;
    ELSE
        RAISE NOTICE 'profiles are written as % instead of service_role', current_user;
    END IF;
END
$rights$;
