-- SPDX-License-Identifier: Apache-2.0
--
-- Caches stay true: every change of a cached fact, by whomever, is told on channel basalt_cache.
--
--   u:<user id>     the user, an identity or a factor of the user changed
--   s:<session id>  the session is gone
--   k:              keys or passwords changed
--   *               too much changed to list: forget everything
--
-- NOTIFY takes a lock over the whole server at commit, so the hot paths send none: a signup (the user
-- is new in this transaction, nobody can have cached it), a login and a refresh (they change columns
-- that no cache holds). A new user's row must carry created_at = now() of its transaction or later
-- for that; an earlier one is only slower.
--
-- The one trigger function. Its argument says what the table holds: `user` (id is the user's),
-- `part` (user_id is), `session` (deleted rows in the transition table `gone`), else the payload.
-- It runs as whoever writes and calls nothing outside pg_catalog, so no writer needs a grant for it.
CREATE FUNCTION basalt.cache_changed() RETURNS trigger LANGUAGE plpgsql AS $f$
DECLARE
    kind     CONSTANT text := TG_ARGV[0];
    payloads text[];
    payload  text;
    told     integer;
BEGIN
    IF kind = 'part' AND TG_OP = 'INSERT' THEN
        -- xmin alone says "written by this transaction", which a login's UPDATE does too.
        PERFORM FROM auth.users u
        WHERE u.id = NEW.user_id AND u.created_at >= pg_catalog.now()
          AND u.xmin = pg_catalog.pg_current_xact_id()::xid;
        IF FOUND THEN
            RETURN NULL;
        END IF;
        payloads := ARRAY['u:' || NEW.user_id];
    ELSIF kind = 'part' AND TG_OP = 'UPDATE' THEN
        payloads := ARRAY['u:' || OLD.user_id, 'u:' || NEW.user_id]; -- equal ones are sent once
    ELSIF kind = 'part' THEN
        payloads := ARRAY['u:' || OLD.user_id];
    ELSIF kind = 'user' THEN
        payloads := ARRAY['u:' || OLD.id];
    ELSIF kind = 'session' THEN
        payloads := ARRAY(SELECT 's:' || g.id FROM gone g LIMIT 101);
        IF pg_catalog.cardinality(payloads) > 100 THEN
            payloads := ARRAY(SELECT DISTINCT 'u:' || g.user_id FROM gone g LIMIT 101);
        END IF;
    ELSE
        payloads := ARRAY[kind];
    END IF;

    -- After 100 payloads in a transaction `*` instead, which PostgreSQL sends once. The count is a
    -- setting local to the transaction: rolled back together with the notifications.
    FOREACH payload IN ARRAY payloads LOOP
        told := coalesce(nullif(pg_catalog.current_setting('basalt.cache_told', true), ''), '0');
        PERFORM pg_catalog.set_config('basalt.cache_told', (told + 1)::text, true),
                pg_catalog.pg_notify('basalt_cache', CASE WHEN told < 100 THEN payload ELSE '*' END);
    END LOOP;
    RETURN NULL;
END
$f$;

CREATE TRIGGER basalt_cache_keys AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON basalt.secret
    FOR EACH STATEMENT EXECUTE FUNCTION basalt.cache_changed('k:');

-- On tables of `auth`: as their owner, else by the TRIGGER privilege that Supabase gives `postgres`.
DO $triggers$
DECLARE
    me  CONSTANT name := current_user;
    v16 CONSTANT boolean := current_setting('server_version_num')::int >= 160000;
BEGIN
    IF pg_has_role('supabase_auth_admin', CASE WHEN v16 THEN 'SET' ELSE 'MEMBER' END) THEN
        SET LOCAL ROLE supabase_auth_admin;
    END IF;

    -- The columns that GET /user shows, and those that decide whether a token still counts; not
    -- last_sign_in_at and updated_at.
    CREATE TRIGGER basalt_cache_update
    AFTER UPDATE OF id, aud, role, email, email_confirmed_at, invited_at, phone, phone_confirmed_at,
        confirmation_sent_at, recovery_sent_at, email_change, email_change_sent_at, phone_change,
        phone_change_sent_at, reauthentication_sent_at, raw_app_meta_data, raw_user_meta_data,
        created_at, banned_until, deleted_at, is_anonymous
    ON auth.users FOR EACH ROW
    WHEN (NOT (OLD.created_at >= now() AND OLD.xmin = pg_current_xact_id()::xid)
        AND (OLD.id, OLD.aud, OLD.role, OLD.email, OLD.email_confirmed_at, OLD.invited_at, OLD.phone,
             OLD.phone_confirmed_at, OLD.confirmation_sent_at, OLD.recovery_sent_at,
             OLD.email_change, OLD.email_change_sent_at, OLD.phone_change,
             OLD.phone_change_sent_at, OLD.reauthentication_sent_at, OLD.raw_app_meta_data,
             OLD.raw_user_meta_data, OLD.created_at, OLD.banned_until, OLD.deleted_at,
             OLD.is_anonymous)
        IS DISTINCT FROM
            (NEW.id, NEW.aud, NEW.role, NEW.email, NEW.email_confirmed_at, NEW.invited_at, NEW.phone,
             NEW.phone_confirmed_at, NEW.confirmation_sent_at, NEW.recovery_sent_at,
             NEW.email_change, NEW.email_change_sent_at, NEW.phone_change,
             NEW.phone_change_sent_at, NEW.reauthentication_sent_at, NEW.raw_app_meta_data,
             NEW.raw_user_meta_data, NEW.created_at, NEW.banned_until, NEW.deleted_at,
             NEW.is_anonymous))
    EXECUTE FUNCTION basalt.cache_changed('user');
    CREATE TRIGGER basalt_cache_delete AFTER DELETE ON auth.users
        FOR EACH ROW EXECUTE FUNCTION basalt.cache_changed('user');
    CREATE TRIGGER basalt_cache_truncate AFTER TRUNCATE ON auth.users
        FOR EACH STATEMENT EXECUTE FUNCTION basalt.cache_changed('*');

    CREATE TRIGGER basalt_cache_change AFTER INSERT OR DELETE ON auth.identities
        FOR EACH ROW EXECUTE FUNCTION basalt.cache_changed('part');
    CREATE TRIGGER basalt_cache_update
    AFTER UPDATE OF id, user_id, provider_id, provider, identity_data, created_at ON auth.identities
        FOR EACH ROW
        WHEN ((OLD.id, OLD.user_id, OLD.provider_id, OLD.provider, OLD.identity_data, OLD.created_at)
              IS DISTINCT FROM
              (NEW.id, NEW.user_id, NEW.provider_id, NEW.provider, NEW.identity_data, NEW.created_at))
        EXECUTE FUNCTION basalt.cache_changed('part');
    CREATE TRIGGER basalt_cache_truncate AFTER TRUNCATE ON auth.identities
        FOR EACH STATEMENT EXECUTE FUNCTION basalt.cache_changed('*');

    CREATE TRIGGER basalt_cache_change AFTER INSERT OR UPDATE OR DELETE ON auth.mfa_factors
        FOR EACH ROW EXECUTE FUNCTION basalt.cache_changed('part');
    CREATE TRIGGER basalt_cache_truncate AFTER TRUNCATE ON auth.mfa_factors
        FOR EACH STATEMENT EXECUTE FUNCTION basalt.cache_changed('*');

    CREATE TRIGGER basalt_cache_delete AFTER DELETE ON auth.sessions
        REFERENCING OLD TABLE AS gone
        FOR EACH STATEMENT EXECUTE FUNCTION basalt.cache_changed('session');
    CREATE TRIGGER basalt_cache_truncate AFTER TRUNCATE ON auth.sessions
        FOR EACH STATEMENT EXECUTE FUNCTION basalt.cache_changed('*');

    EXECUTE format('SET LOCAL ROLE %I', me);
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'schema auth tells other processes nothing of changes made elsewhere: %', SQLERRM;
END
$triggers$;
