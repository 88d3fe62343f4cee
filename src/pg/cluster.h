/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The private PostgreSQL: made whole or not at all in DIR/pg (initdb into pg.new, fsync, rename),
 * started, watched, restarted, taken over after our SIGKILL, stopped. Superuser supabase_admin over the Unix
 * socket only; SCRAM for everybody. Blocking calls for start-up and the CLI; the watch runs on loop 0.
 */
#ifndef PG_CLUSTER_H
#define PG_CLUSTER_H

#include "base/arena.h"
#include "base/err.h"

struct cluster;

struct cluster_config {
    const char *data_dir; /* absolute DIR; the cluster is DIR/pg, its log DIR/log/postgres.log */
    const char *bin_dir;  /* folder of initdb and postgres, or NULL: found (cluster_find_bin) */
    const char *listen;   /* --db-listen HOST:PORT or NULL: socket only */
    const char *admin_password; /* of supabase_admin, set at initdb */
    unsigned max_connections;   /* of the server: pool + notify + spare */
};

/*
 * Makes it if missing, ends left-overs of a killed postmaster, starts it or takes a running one over
 * (ours, with these settings; else it is restarted). Never as root. Holds DIR/pg.lock until
 * cluster_stop. Errors are sentences for the operator: 500 "cluster_root", "cluster_locked" (another
 * server has this folder), "postgres_missing", "postgres_version", "data_folder", "initdb_failed",
 * "cluster_start" (why PostgreSQL ended; its last lines in detail), "cluster_slow" (after 60 s).
 */
MUST_CHECK bool cluster_start(const struct cluster_config *c, struct cluster **out, struct err *e);
/* "host=/…/sock port=… dbname=postgres" without user and password. Arena string. */
const char *cluster_conninfo(const struct cluster *c, struct arena *a);
/*
 * Restarts it when it dies (at once, then with back-off 100 ms … 5 s) on a thread of its own; on_down,
 * and on_up after each successful restart, run in callbacks of loop 0; either may be NULL. Once a
 * cluster, from any thread, when the loops exist.
 */
void cluster_watch(struct cluster *c, void (*on_down)(void *ctx), void (*on_up)(void *ctx),
                   void *ctx);
/*
 * Ends the watch, for the way out: at once on loop 0, soon from elsewhere; neither callback comes
 * after it. Without it loop_stop_all waits its second for the watch.
 */
void cluster_unwatch(struct cluster *c);
/* Fast shutdown, waits, SIGQUIT after timeout_ms; frees. Blocks: after loop_run_all, not on a loop. */
void cluster_stop(struct cluster *c, int timeout_ms);
/* For `basalt stop` and doctor: the cluster of that data folder, also one whose server was killed. */
MUST_CHECK bool cluster_stop_dir(const char *data_dir, int timeout_ms, bool *was_running,
                                 struct err *e);
/*
 * Folder with initdb and postgres: the setting, /usr/lib/postgresql/N/bin (newest), pg_config, PATH;
 * of the version that the cluster in data_dir needs, if there is one (NULL: do not ask). e names the
 * package to install, or says that the folder holds no cluster.
 */
MUST_CHECK bool cluster_find_bin(const char *setting, const char *data_dir, struct arena *a,
                                 const char **out, struct err *e);

#endif
