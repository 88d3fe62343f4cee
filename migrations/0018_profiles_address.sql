-- SPDX-License-Identifier: Apache-2.0
--
-- public.profiles, where Basalt made it (0008), learns the two fields of seed 003's registration that
-- it lacked.
DO $profiles$
DECLARE
    me    CONSTANT name := current_user;
    owner name;
BEGIN
    SELECT r.rolname INTO owner
    FROM pg_class c
    JOIN pg_roles r ON r.oid = c.relowner
    WHERE c.oid = to_regclass('public.profiles') AND c.relkind = 'r'
      AND EXISTS (SELECT FROM basalt.setting s
                  WHERE s.name = 'profile_table' AND s.value = 'public.profiles')
      AND pg_has_role(me, c.relowner, CASE WHEN current_setting('server_version_num')::int >= 160000
                                           THEN 'SET' ELSE 'MEMBER' END);
    IF owner IS NULL THEN
        RETURN;
    END IF;
    EXECUTE format('SET LOCAL ROLE %I', owner);
    ALTER TABLE public.profiles
        ADD COLUMN IF NOT EXISTS state text,
        ADD COLUMN IF NOT EXISTS zip_code text;
    GRANT UPDATE (state, zip_code) ON public.profiles TO authenticated;
    EXECUTE format('SET LOCAL ROLE %I', me);
END
$profiles$;
