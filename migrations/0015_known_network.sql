-- SPDX-License-Identifier: Apache-2.0
--
-- Networks from which a user has logged in, by whatever way: when an account is locked for strangers
-- after many wrong passwords, these are let through. IPv4 addresses whole, of IPv6 the /64 that one
-- subscriber has. Forgotten 90 days after the last session was opened from there.

CREATE TABLE basalt.known_network (
    user_id uuid NOT NULL,
    network cidr NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, network)
);
CREATE INDEX known_network_seen_at_idx ON basalt.known_network (seen_at);

INSERT INTO basalt.known_network (user_id, network, seen_at)
SELECT user_id, network(set_masklen(ip, CASE family(ip) WHEN 4 THEN 32 ELSE 64 END)),
       max(coalesce(created_at, now()))
FROM auth.sessions WHERE ip IS NOT NULL GROUP BY 1, 2;

-- A trigger, so that no way of logging in can forget it. It runs as the function's owner: whoever may
-- open sessions need not be able to look into this table. Once a day is new enough.
CREATE FUNCTION basalt.note_network() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $f$
BEGIN
    INSERT INTO basalt.known_network AS k (user_id, network)
    VALUES (NEW.user_id, pg_catalog.network(pg_catalog.set_masklen(NEW.ip,
        CASE pg_catalog.family(NEW.ip) WHEN 4 THEN 32 ELSE 64 END)))
    ON CONFLICT (user_id, network) DO UPDATE SET seen_at = pg_catalog.now()
    WHERE k.seen_at < pg_catalog.now() - interval '1 day';
    RETURN NULL;
END
$f$;
REVOKE ALL ON FUNCTION basalt.note_network() FROM public;

DO $rights$
DECLARE
    me  CONSTANT name := current_user;
    v16 CONSTANT boolean := current_setting('server_version_num')::int >= 160000;
BEGIN
    IF pg_has_role('supabase_auth_admin', CASE WHEN v16 THEN 'SET' ELSE 'MEMBER' END) THEN
        -- A new owner must be able to create in the schema, for the moment of the change.
        GRANT CREATE ON SCHEMA basalt TO supabase_auth_admin;
        ALTER TABLE basalt.known_network OWNER TO supabase_auth_admin;
        ALTER FUNCTION basalt.note_network() OWNER TO supabase_auth_admin;
        REVOKE CREATE ON SCHEMA basalt FROM supabase_auth_admin;
        SET LOCAL ROLE supabase_auth_admin;
    ELSE
        GRANT SELECT, DELETE ON basalt.known_network TO supabase_auth_admin;
    END IF;
    CREATE TRIGGER basalt_note_network AFTER INSERT ON auth.sessions
        FOR EACH ROW WHEN (NEW.ip IS NOT NULL) EXECUTE FUNCTION basalt.note_network();
    ALTER TABLE basalt.known_network
        ADD FOREIGN KEY (user_id) REFERENCES auth.users (id) ON DELETE CASCADE;
    EXECUTE format('SET LOCAL ROLE %I', me);
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'no networks are known to accounts, so a locked account is locked for its owner too: %', SQLERRM;
END
$rights$;
