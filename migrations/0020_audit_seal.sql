-- SPDX-License-Identifier: Apache-2.0
--
-- Audit events of the journals arrive here too, with the node and sequence they had there; and all
-- events, however they came, are sealed: a chain of batches, each with the digest of every event in
-- it. A row that is changed, removed or slipped in later does not fit its seal.

ALTER TABLE basalt.audit_event
    ADD COLUMN category text,
    ADD COLUMN node     uuid,   -- the server whose journal had it; null: written with its change
    ADD COLUMN sequence bigint, -- in that journal
    ADD COLUMN hash     text;   -- in that journal's chain
CREATE INDEX audit_event_seq_idx ON basalt.audit_event (seq);
CREATE INDEX audit_event_node_idx ON basalt.audit_event (node, sequence) WHERE sequence IS NOT NULL;

CREATE TABLE basalt.audit_node ( -- how far each server's journal is in the database
    node     uuid PRIMARY KEY,
    sequence bigint NOT NULL,
    hash     text NOT NULL,
    seen_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE basalt.audit_seal (
    n         bigint PRIMARY KEY, -- without gaps
    sealed_at timestamptz NOT NULL DEFAULT now(),
    events    uuid[] NOT NULL,
    digests   bytea NOT NULL,     -- 32 bytes for each event
    previous  bytea NOT NULL,     -- hash of seal n - 1
    hash      bytea NOT NULL,
    last_seq  bigint NOT NULL,    -- events were sealed up to here, but for transactions then under way:
    horizon   xid8 NOT NULL       -- those before it
);

CREATE TABLE basalt.audit_kept ( -- where retention has cut the chain of seals off; one row at most
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    first_n  bigint NOT NULL, -- the oldest seal that is kept
    previous bytea NOT NULL   -- hash of the one before it
);

CREATE FUNCTION basalt.audit_digest(e basalt.audit_event) RETURNS bytea LANGUAGE sql STABLE AS $f$
    SELECT pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.jsonb_build_array(
        e.id, e.seq, (extract(epoch FROM e.at) * 1000000)::bigint, e.name, e.category, e.outcome,
        e.actor_id, e.actor_kind, e.subject_id, e.ip, e.user_agent, e.request_id, e.detail,
        e.node, e.sequence, e.hash)::text, 'UTF8'))
$f$;

CREATE FUNCTION basalt.audit_seal_hash(previous bytea, n bigint, events uuid[], digests bytea)
RETURNS bytea LANGUAGE sql STABLE AS $f$
    SELECT pg_catalog.sha256(previous || pg_catalog.int8send(n)
        || pg_catalog.convert_to(events::text, 'UTF8') || digests)
$f$;
REVOKE EXECUTE ON FUNCTION basalt.audit_digest(basalt.audit_event),
    basalt.audit_seal_hash(bytea, bigint, uuid[], bytea) FROM PUBLIC;

DO $rights$
DECLARE
    me     CONSTANT name := current_user;
    v16    CONSTANT boolean := current_setting('server_version_num')::int >= 160000;
    reader name;
BEGIN
    GRANT EXECUTE ON FUNCTION basalt.audit_digest(basalt.audit_event),
        basalt.audit_seal_hash(bytea, bigint, uuid[], bytea) TO supabase_auth_admin;
    IF pg_has_role('supabase_auth_admin', CASE WHEN v16 THEN 'SET' ELSE 'MEMBER' END) THEN
        -- A new owner must be able to create in the schema, for the moment of the change.
        GRANT CREATE ON SCHEMA basalt TO supabase_auth_admin;
        ALTER TABLE basalt.audit_node OWNER TO supabase_auth_admin;
        ALTER TABLE basalt.audit_seal OWNER TO supabase_auth_admin;
        ALTER TABLE basalt.audit_kept OWNER TO supabase_auth_admin;
        REVOKE CREATE ON SCHEMA basalt FROM supabase_auth_admin;
    ELSE
        GRANT SELECT, INSERT, UPDATE, DELETE ON basalt.audit_node, basalt.audit_seal, basalt.audit_kept
            TO supabase_auth_admin;
    END IF;
    -- Whoever may read the events may verify them.
    FOR reader IN
        SELECT rolname FROM pg_roles
        WHERE (rolname = 'postgres' AND pg_has_role(me, oid, 'MEMBER'))
           OR (rolname = me AND NOT rolsuper)
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION basalt.audit_digest(basalt.audit_event), '
            'basalt.audit_seal_hash(bytea, bigint, uuid[], bytea) TO %I', reader);
        IF pg_has_role('supabase_auth_admin', CASE WHEN v16 THEN 'SET' ELSE 'MEMBER' END) THEN
            SET LOCAL ROLE supabase_auth_admin;
        END IF;
        EXECUTE format('GRANT SELECT ON basalt.audit_node, basalt.audit_seal, basalt.audit_kept TO %I', reader);
        EXECUTE format('SET LOCAL ROLE %I', me);
    END LOOP;
END
$rights$;
