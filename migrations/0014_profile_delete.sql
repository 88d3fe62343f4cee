-- SPDX-License-Identifier: Apache-2.0
--
-- Takes the row `id` of `target` away, with the rights and the look of basalt.profile_write (0007):
-- for an app's own table of profiles, which need not go with its user. 42P01: no such table.
CREATE FUNCTION basalt.profile_delete(target text, id uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, extensions, pg_temp AS $f$
DECLARE
    rel    CONSTANT regclass := pg_catalog.to_regclass(target);
    claims CONSTANT text := pg_catalog.current_setting('request.jwt.claims', true);
    c_role CONSTANT text := pg_catalog.current_setting('request.jwt.claim.role', true);
    c_sub  CONSTANT text := pg_catalog.current_setting('request.jwt.claim.sub', true);
BEGIN
    IF rel IS NULL THEN
        RAISE EXCEPTION 'relation "%" does not exist', target USING ERRCODE = 'undefined_table';
    END IF;
    PERFORM pg_catalog.set_config('request.jwt.claims', '{"role":"service_role"}', true),
            pg_catalog.set_config('request.jwt.claim.role', 'service_role', true),
            pg_catalog.set_config('request.jwt.claim.sub', '', true);
    EXECUTE pg_catalog.format('DELETE FROM %s p WHERE p.id = $1', rel) USING id;
    SET CONSTRAINTS ALL IMMEDIATE; -- as service_role, see profile_write
    PERFORM pg_catalog.set_config('request.jwt.claims', coalesce(claims, ''), true),
            pg_catalog.set_config('request.jwt.claim.role', coalesce(c_role, ''), true),
            pg_catalog.set_config('request.jwt.claim.sub', coalesce(c_sub, ''), true);
END
$f$;

DO $rights$
DECLARE
    v16 CONSTANT boolean := current_setting('server_version_num')::int >= 160000;
BEGIN
    REVOKE ALL ON FUNCTION basalt.profile_delete(text, uuid) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION basalt.profile_delete(text, uuid) TO supabase_auth_admin;
    IF pg_has_role('service_role', CASE WHEN v16 THEN 'SET' ELSE 'MEMBER' END) THEN
        GRANT USAGE, CREATE ON SCHEMA basalt TO service_role;
        ALTER FUNCTION basalt.profile_delete(text, uuid) OWNER TO service_role;
        REVOKE CREATE ON SCHEMA basalt FROM service_role;
    END IF;
END
$rights$;
