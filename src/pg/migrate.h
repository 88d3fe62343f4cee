/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Migrations: ours (embedded, numbered, checksummed, one transaction each, under an advisory lock),
 * then the app's supabase/migrations in order of their version prefix, each once, recorded in
 * supabase_migrations.schema_migrations as the Supabase CLI does. Blocking.
 */
#ifndef PG_MIGRATE_H
#define PG_MIGRATE_H

#include "pg/pg_now.h"

struct migrate_config {
    const char *conninfo;     /* for ours: superuser of the private cluster, or the external URL */
    const char *app_conninfo; /* for the app's: role postgres, or the external URL */
    const char *app_dir;      /* "supabase/migrations"; a folder that does not exist is no error */
    bool dry_run;
    /*
     * One line per migration: "applied", "pending" (dry run), "skipped" (a file of the app's folder
     * whose name is none of a migration), "newer" (applied by a later program). May be NULL.
     */
    void (*report)(void *ctx, const char *what, const char *name);
    /*
     * Between ours and the app's, when the app's have something pending; may be NULL. On the
     * connection of conninfo: gives the role of app_conninfo its password in a new cluster.
     */
    bool (*before_app)(void *ctx, struct pg_now *db, struct err *e);
    void *ctx;
};

struct migrate_state {
    unsigned pending, app_pending; /* when the run ended: 0 unless dry_run */
    unsigned applied, app_applied; /* by this run */
};

/*
 * Applies what is pending (or only counts with dry_run). With nothing to do it costs a connection and
 * two queries. A file of the app runs statement by statement in one transaction with its record; one
 * that PostgreSQL refuses there (CREATE INDEX CONCURRENTLY, ALTER SYSTEM, …) is rolled back and run
 * again without; one with COMMIT or ROLLBACK in the middle rules its transactions by itself. Errors
 * (500): "migration_failed" with file, line and PostgreSQL's message, its DETAIL, HINT and CONTEXT in
 * detail; "migration_changed" when an applied one's checksum differs; "migration_twice" for two files
 * of one version; "migration_locked" after 60 s; 503 "database_unavailable". A database that is ahead
 * of this program is no error, since migrations are additive: it is reported.
 */
MUST_CHECK bool migrate_run(const struct migrate_config *c, struct migrate_state *out,
                            struct err *e);

#endif
