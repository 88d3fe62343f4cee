-- SPDX-License-Identifier: Apache-2.0
--
-- Calls an app's hook, schema.function(jsonb), with the rights of the caller: supabase_auth_admin has
-- to be granted USAGE and EXECUTE, as with Supabase. What it answers is text, so that numbers stay as
-- the function wrote them; NULL is text too.
CREATE FUNCTION basalt.hook_call(schema_name text, function_name text, input jsonb) RETURNS text
LANGUAGE plpgsql AS $f$
DECLARE
    answer jsonb;
BEGIN
    EXECUTE pg_catalog.format('SELECT %I.%I($1)', schema_name, function_name) INTO answer USING input;
    RETURN answer::text;
END
$f$;

REVOKE ALL ON FUNCTION basalt.hook_call(text, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION basalt.hook_call(text, text, jsonb) TO supabase_auth_admin;
