/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Circuit breakers: what has failed several times in a row is not called for a while, so that its
 * callers fail at once instead of piling up behind its time limit. One for each row of breaker.def,
 * shared by all loops, lock-free.
 *
 * closed: every call passes. open: none does, until its time is over. half-open: one call passes as
 * a probe; success closes, failure opens again, and a probe that never reports is forgotten after
 * the same time.
 */
#ifndef OPS_BREAKER_H
#define OPS_BREAKER_H

#include "base/err.h"
#include "base/str.h"

/* BREAKER_<id> per row of breaker.def. */
enum breaker_id {
#define X(id, failures, open_s) BREAKER_##id,
#include "ops/breaker.def"
#undef X
    BREAKER_COUNT
};

enum breaker_state { BREAKER_CLOSED, BREAKER_HALF_OPEN, BREAKER_OPEN };

struct breaker;

struct breaker *breaker_named(enum breaker_id id);
const char *breaker_name(const struct breaker *b);
/* Whether a call may be made now. Who is told yes reports how it went, unless its own caller left. */
bool breaker_allow(struct breaker *b);
void breaker_report(struct breaker *b, bool ok);
/* As breaker_allow; e: 503 "upstream_breaker_open" with Retry-After. b may be NULL: always true. */
MUST_CHECK bool breaker_check(struct breaker *b, struct err *e);
enum breaker_state breaker_state(const struct breaker *b);
/* Shows the states in /metrics; at start. */
void breaker_register(void);

#endif
