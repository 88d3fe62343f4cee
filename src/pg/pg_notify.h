/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection that LISTENs, on loop 0, with a heartbeat: a NOTIFY to itself every 250 ms, so that
 * "nothing was said" and "nothing was heard" differ. Callbacks run on loop 0.
 */
#ifndef PG_NOTIFY_H
#define PG_NOTIFY_H

#include "base/err.h"
#include "base/str.h"

struct pg_notify_config {
    const char *conninfo; /* the direct database */
    const char *const *channels; /* NULL-terminated */
    void (*on_message)(void *ctx, struct str channel, struct str payload);
    /* After every (re)connect, before any message of it: what was missed is unknown. */
    void (*on_reconnect)(void *ctx);
    void *ctx;
};

MUST_CHECK bool pg_notify_open(const struct pg_notify_config *c, struct err *e);
void pg_notify_start(void);
void pg_notify_close(void);
/* Monotonic µs of the last heartbeat that came back; any thread. Caches are used only while it is younger than 1 s. */
int64_t pg_notify_heard_us(void);

#endif
