/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brings the journal into the database: one thread with one connection of its own, which no request
 * shares. While the database is away it waits, and the journal keeps. It also seals what is there and
 * deletes what is older than the retention. Once a process, after journal_open.
 */
#ifndef AUDIT_SHIPPER_H
#define AUDIT_SHIPPER_H

#include "base/err.h"

/* Strings are copied, but for dir. */
struct shipper_config {
    const char *dir; /* the journal's */
    const char *conninfo, *set_role;
    int64_t retention_us;
    int64_t max_bytes; /* of the journal: what is shipped goes sooner when it gets near */
};

MUST_CHECK bool shipper_start(const struct shipper_config *c, struct err *e);
/* Ships and seals what is synced, as far as timeout_ms lets it; the journal keeps the rest. */
void shipper_stop(int timeout_ms);

#endif
