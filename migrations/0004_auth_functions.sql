-- SPDX-License-Identifier: Apache-2.0
--
-- What policies ask. The plain setting comes first: parsing the claims JSON once per row is most of
-- the cost of a naive policy. An empty string is how a setting looks after the transaction it was
-- set in, so it means "not set". A function that is there already stays: it answers the same.
DO $functions$
DECLARE
    me  CONSTANT name := current_user;
    v16 CONSTANT boolean := current_setting('server_version_num')::int >= 160000;
BEGIN
    IF pg_has_role('supabase_auth_admin', CASE WHEN v16 THEN 'SET' ELSE 'MEMBER' END) THEN
        SET LOCAL ROLE supabase_auth_admin;
    END IF;
    IF to_regprocedure('auth.uid()') IS NULL THEN
        CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $f$
            SELECT coalesce(
                nullif(current_setting('request.jwt.claim.sub', true), ''),
                nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
            )::uuid
        $f$;
    END IF;
    IF to_regprocedure('auth.role()') IS NULL THEN
        CREATE FUNCTION auth.role() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $f$
            SELECT coalesce(
                nullif(current_setting('request.jwt.claim.role', true), ''),
                nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role'
            )
        $f$;
    END IF;
    IF to_regprocedure('auth.email()') IS NULL THEN
        CREATE FUNCTION auth.email() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $f$
            SELECT coalesce(
                nullif(current_setting('request.jwt.claim.email', true), ''),
                nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email'
            )
        $f$;
    END IF;
    IF to_regprocedure('auth.jwt()') IS NULL THEN
        CREATE FUNCTION auth.jwt() RETURNS jsonb LANGUAGE sql STABLE PARALLEL SAFE AS $f$
            SELECT coalesce(
                nullif(current_setting('request.jwt.claim', true), ''),
                nullif(current_setting('request.jwt.claims', true), '')
            )::jsonb
        $f$;
    END IF;
    EXECUTE format('SET LOCAL ROLE %I', me);
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'a helper function is missing in schema auth: %', SQLERRM;
END
$functions$;
