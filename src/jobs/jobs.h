/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that outlives its request: a queue and a scheduler in PostgreSQL, shared by all nodes. A job is
 * added in the transaction it belongs to and runs after that has committed, at least once: its handler
 * may run again when a node dies in the middle. jobs/ knows neither mail nor files: app/background.c
 * registers the handlers.
 */
#ifndef JOBS_JOBS_H
#define JOBS_JOBS_H

#include "pg/pg_tx.h"

/* Queued in tx: it exists exactly when tx commits. payload: JSON object. run_at_us: wall, 0 = now. */
void jobs_add(struct pg_tx *tx, const char *kind, struct str payload, int64_t run_at_us);

#endif
