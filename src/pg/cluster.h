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
    const char *data_dir;      /* absolute DIR; the cluster is DIR/pg, its log DIR/log/postgres.log */
    const char *listen;        /* --db-listen HOST:PORT or NULL: socket only */
    const char *admin_password; /* of supabase_admin, set at initdb */
    unsigned max_connections;  /* of the server: pool + notify + spare */
};

/* Makes it if missing, ends left-overs of a killed postmaster, starts it or takes a running one over. */
MUST_CHECK bool cluster_start(const struct cluster_config *c, struct cluster **out, struct err *e);
/* "host=/…/sock port=… dbname=postgres" without user and password. Arena string. */
const char *cluster_conninfo(const struct cluster *c, struct arena *a);
/* Restarts it when it dies (back-off 100 ms … 5 s); on_up after each successful restart, on loop 0. */
void cluster_watch(struct cluster *c, void (*on_down)(void *ctx), void (*on_up)(void *ctx), void *ctx);
/* Fast shutdown, waits, SIGQUIT after timeout_ms; frees. */
void cluster_stop(struct cluster *c, int timeout_ms);
/* For `basalt stop` and doctor: the cluster of that data folder, also one whose server was killed. */
MUST_CHECK bool cluster_stop_dir(const char *data_dir, int timeout_ms, bool *was_running, struct err *e);
/* Folder with initdb and postgres: setting, pg_config, /usr/lib/postgresql/N/bin (newest), PATH. e names the package to install. */
MUST_CHECK bool cluster_find_bin(const char *setting, struct arena *a, const char **out, struct err *e);

#endif
