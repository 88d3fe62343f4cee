/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections to PostgreSQL: each loop owns its share; slots are handed out most recently used
 * first, waiters served in order, everything bounded by the fiber's deadline. Connections are
 * opened and cancels sent by one auxiliary thread. Only pg/ sees libpq.
 */
#ifndef PG_POOL_H
#define PG_POOL_H

#include "base/arena.h"
#include "base/err.h"

/* Who a connection logs in as (architecture §4). A slot that must change login reconnects. */
enum pg_login {
    PG_LOGIN_NONE = 0,
    PG_LOGIN_AUTHENTICATOR, /* runs an app's SQL after switching role */
    PG_LOGIN_AUTH,          /* supabase_auth_admin: auth's own statements */
    PG_LOGIN_STORAGE,       /* supabase_storage_admin */
    PG_LOGIN_COUNT
};

struct pg_pool_config {
    const char *conninfo
        [PG_LOGIN_COUNT]; /* libpq URL or keywords per login, password included; several hosts
                                             and target_session_attrs allowed; never logged */
    const char
        *set_role[PG_LOGIN_COUNT]; /* not NULL: the login is shared, SET ROLE to this at connect */
    unsigned size;                 /* all loops together */
    unsigned loops;
    int64_t connect_timeout_us;                 /* 5 s */
    int64_t statement_timeout_us;               /* from the request deadline */
    int64_t reconnect_min_us, reconnect_max_us; /* back-off with jitter: 100 ms … 5 s */
    bool prepare;                               /* false behind a transaction pooler */
};

/* Before the loops run. Connections are made at first use, and one is made at once to say if it works. */
MUST_CHECK bool pg_pool_open_all(const struct pg_pool_config *c, struct err *e);
/*
 * Twice, after draining. On a loop: closes what is idle and whatever comes back, gives abandoned flushes
 * timeout_ms, returns at once. After loop_run_all has returned: joins the threads, frees the rest.
 */
void pg_pool_close_all(int timeout_ms);

/* False with the reason in e->message (safe) and e->detail while no connection can be had; for /readyz. */
bool pg_pool_ready(struct err *e);
/* Drops idle connections and reconnects (the cluster restarted). Any thread. */
void pg_pool_reset(void);

struct pg_pool_stats {
    unsigned size, in_use, idle, waiting;
    uint64_t timeouts, connects, connect_failures, cancels;
};
struct pg_pool_stats pg_pool_stats(void);

#endif
