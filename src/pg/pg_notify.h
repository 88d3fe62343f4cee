/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection that LISTENs, on loop 0, with a heartbeat, so that "nothing was said" and "nothing
 * was heard" differ. The heartbeat is an empty Sync every 250 ms: PostgreSQL hands a session what is
 * pending for it before each ReadyForQuery, and signals listeners before it acknowledges the
 * notifier's COMMIT, so the answer proves that everything committed before the Sync was sent has been
 * heard. Unlike a NOTIFY it needs no transaction, writes no WAL and wakes no other listener. That the
 * line carries notifications at all (no transaction pooler in between) a NOTIFY to itself proves at each
 * connect. Callbacks run on loop 0.
 */
#ifndef PG_NOTIFY_H
#define PG_NOTIFY_H

#include "base/err.h"
#include "base/str.h"

struct pg_notify_config {
    const char *conninfo;        /* the direct database */
    const char *const *channels; /* NULL-terminated */
    void (*on_message)(void *ctx, struct str channel, struct str payload);
    /* After every (re)connect, before any message of it: what was missed is unknown. */
    void (*on_reconnect)(void *ctx);
    void *ctx;
};

/*
 * Blocking, before the loops run: tries it once with a NOTIFY to itself. e: 503
 * "database_unavailable", 500 "notify_unavailable" (a transaction pooler, a standby) within 2 s; nothing is open then.
 */
MUST_CHECK bool pg_notify_open(const struct pg_notify_config *c, struct err *e);
/* Any thread, once loop 0 exists. */
void pg_notify_start(void);
/* On loop 0, or after the loops have ended; on the loop first, then again after it to free the rest. */
void pg_notify_close(void);
/* Monotonic µs at which the last heartbeat that came back was sent, 0 before; any thread. Caches are used only while it is younger than 1 s. */
int64_t pg_notify_heard_us(void);

#endif
