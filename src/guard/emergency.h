/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layer 9: what still works when something is badly wrong. An administrator declares an emergency
 * (`basalt emergency`), which every node hears within 100 ms and keeps across restarts, in
 * basalt.setting; and while no connection to the database is left, writes are refused before they
 * cost anything. When the state cannot be read, the last one known stays.
 *
 * Errors: 503 "emergency_read_only", "emergency_locked", "database_unavailable", with Retry-After.
 */
#ifndef GUARD_EMERGENCY_H
#define GUARD_EMERGENCY_H

#include "base/err.h"
#include "http/req.h"

enum emergency_mode {
    EMERGENCY_OFF,
    EMERGENCY_READ_ONLY, /* nothing is written but the end of sessions */
    EMERGENCY_LOCKED,    /* only administrators are answered, by their API key */
};

/* "off", "read-only", "locked"; false for another word. */
bool emergency_parse(struct str word, enum emergency_mode *out);
/* At start. */
void emergency_set(enum emergency_mode mode);
enum emergency_mode emergency_now(void);
/* On loop 0: reads the state, until it could be read. */
void emergency_reload(void);
/* Once the API key is known. */
MUST_CHECK bool emergency_check(const struct req *req, struct err *e);

#endif
