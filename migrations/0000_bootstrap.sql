-- SPDX-License-Identifier: Apache-2.0
--
-- What the migrator itself stands on. It runs at every migration, before the numbered files and
-- outside their numbering, so every statement looks first: it is silent and needs no privilege when
-- everything is there. Catalogs are asked instead of to_regclass(), which raises where USAGE lacks.
DO $bootstrap$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'basalt') THEN
        CREATE SCHEMA basalt;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = 'basalt' AND c.relname = 'migrations') THEN
        CREATE TABLE basalt.migrations (
            version    integer PRIMARY KEY,
            name       text NOT NULL,
            checksum   text NOT NULL, -- SHA-256 of the file, hex
            applied_at timestamptz NOT NULL DEFAULT now()
        );
    END IF;

    -- The app's own migrations are recorded where the Supabase CLI records them, in its shape, so
    -- that either tool sees what the other applied.
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'supabase_migrations') THEN
        CREATE SCHEMA supabase_migrations;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = 'supabase_migrations' AND c.relname = 'schema_migrations') THEN
        CREATE TABLE supabase_migrations.schema_migrations (
            version    text PRIMARY KEY,
            statements text[],
            name       text
        );
    ELSIF (SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
           JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname = 'supabase_migrations' AND c.relname = 'schema_migrations'
             AND a.attname IN ('statements', 'name') AND NOT a.attisdropped) < 2 THEN
        -- Early releases of the Supabase CLI kept the version alone.
        ALTER TABLE supabase_migrations.schema_migrations
            ADD COLUMN IF NOT EXISTS statements text[],
            ADD COLUMN IF NOT EXISTS name text;
    END IF;
END
$bootstrap$;
