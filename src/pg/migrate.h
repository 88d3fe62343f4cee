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
    const char *conninfo;      /* for ours: superuser of the private cluster, or the external URL */
    const char *app_conninfo;  /* for the app's: role postgres, or the external URL */
    const char *app_dir;       /* "supabase/migrations"; a folder that does not exist is no error */
    bool dry_run;
    /* One line per migration applied or pending; may be NULL. */
    void (*report)(void *ctx, const char *what, const char *name);
    void *ctx;
};

struct migrate_state {
    unsigned pending, applied, app_pending, app_applied;
};

/*
 * Applies what is pending (or only counts with dry_run). Errors (500): "migration_failed" with
 * file, line and PostgreSQL's message; "migration_changed" when an applied one's checksum differs;
 * "migration_newer" when the database is ahead of this program by a version it does not know (allowed:
 * only logged by the caller through report, since migrations are additive); "migration_locked" after 60 s.
 */
MUST_CHECK bool migrate_run(const struct migrate_config *c, struct migrate_state *out, struct err *e);

#endif
