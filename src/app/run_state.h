/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DIR/server.env (mode 0600): what a running server tells `status`, `stop` and the other commands.
 * Believed only while that process lives: pid and start time must match.
 */
#ifndef APP_RUN_STATE_H
#define APP_RUN_STATE_H

#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"

struct run_state {
    pid_t pid;
    const char *api_url, *admin_url, *db_url;
};

MUST_CHECK bool run_state_write(const char *dir, const struct run_state *r, struct err *e);
/* 3 "not_running" when there is none or its process is gone. Strings in the arena. */
MUST_CHECK bool run_state_read(const char *dir, struct arena *a, struct run_state *out,
                               struct err *e);
void run_state_remove(const char *dir);

#endif
