-- SPDX-License-Identifier: Apache-2.0
--
-- Work that outlives a request: the queue, what is done at intervals, and the mails to send. A row
-- is written in the transaction it belongs to, and is picked up only after that has committed.

CREATE TABLE basalt.job (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text NOT NULL,
    payload    jsonb NOT NULL DEFAULT '{}',
    run_at     timestamptz NOT NULL DEFAULT now(), -- of a taken job: when the lease ends and another may try
    attempts   integer NOT NULL DEFAULT 0,
    lease      uuid, -- of the attempt under way: whose lease was lost writes nothing
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    dead_at    timestamptz -- given up, kept to be looked at
);
CREATE INDEX job_run_at_idx ON basalt.job (run_at) WHERE dead_at IS NULL;
CREATE INDEX job_dead_at_idx ON basalt.job (dead_at) WHERE dead_at IS NOT NULL;

CREATE TABLE basalt.job_tick ( -- the last time each interval began, over all nodes
    name     text PRIMARY KEY,
    last_run timestamptz NOT NULL
);

CREATE TABLE basalt.mail (
    id         uuid PRIMARY KEY, -- version 7: sorted by time
    kind       text NOT NULL,
    recipient  text NOT NULL,
    user_id    uuid, -- no reference: a mail may tell of a deletion
    data       jsonb, -- what the templates show, one-time tokens among it; null once the mail is sent or given up
    state      text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'failed')),
    attempts   integer NOT NULL DEFAULT 0,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL, -- not sent any more: its token has no more use
    done_at    timestamptz
);
CREATE INDEX mail_created_at_idx ON basalt.mail (created_at);

-- Wakes the workers of every node at commit; they poll too.
CREATE FUNCTION basalt.job_added() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
    PERFORM pg_catalog.pg_notify('basalt_jobs', '');
    RETURN NULL;
END
$f$;
CREATE TRIGGER basalt_job_added AFTER INSERT ON basalt.job
    FOR EACH STATEMENT EXECUTE FUNCTION basalt.job_added();

-- Only auth's own login reads: waiting mails hold one-time tokens. Storage may add jobs. Not even the
-- app's owner (postgres) looks into them; it sees the jobs that are dead through auth's commands.
DO $rights$
DECLARE
    me  CONSTANT name := current_user;
    v16 CONSTANT boolean := current_setting('server_version_num')::int >= 160000;
BEGIN
    IF pg_has_role('supabase_auth_admin', CASE WHEN v16 THEN 'SET' ELSE 'MEMBER' END) THEN
        -- A new owner must be able to create in the schema, for the moment of the change.
        GRANT CREATE ON SCHEMA basalt TO supabase_auth_admin;
        ALTER TABLE basalt.job OWNER TO supabase_auth_admin;
        ALTER TABLE basalt.job_tick OWNER TO supabase_auth_admin;
        ALTER TABLE basalt.mail OWNER TO supabase_auth_admin;
        REVOKE CREATE ON SCHEMA basalt FROM supabase_auth_admin;
        SET LOCAL ROLE supabase_auth_admin;
    ELSE
        GRANT SELECT, INSERT, UPDATE, DELETE ON basalt.job, basalt.job_tick, basalt.mail TO supabase_auth_admin;
    END IF;
    GRANT INSERT ON basalt.job TO supabase_storage_admin;
    EXECUTE format('SET LOCAL ROLE %I', me);
END
$rights$;
