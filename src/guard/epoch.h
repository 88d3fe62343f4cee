/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keeps caches true (architecture §4): a fixed table of atomic counters, indexed by the hash of
 * a user or session id. A cached entry remembers the values it was loaded under and is valid only
 * while they stand. Bump before the answer leaves; any thread.
 */
#ifndef GUARD_EPOCH_H
#define GUARD_EPOCH_H

#include "base/str.h"

struct epoch {
    uint32_t all, one;
    uint32_t slot; /* of the id, so that a look costs no hash */
};

/* Read before the database is asked, kept beside what it said. */
struct epoch epoch_of(struct str id);
bool epoch_stands(struct epoch then);
/* For what only epoch_bump_all() voids. */
uint32_t epoch_generation(void);
void epoch_bump(struct str id);
/* Everything cached is void: a reconnected listener may have missed something. */
void epoch_bump_all(void);

#endif
