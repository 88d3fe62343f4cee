/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters of limits: token buckets kept as one number each, the time at which the bucket is full
 * again (GCRA, ITU-T I.371). One table of fixed size, any thread, well under 1 µs a look.
 *
 * A full table gives up the fullest bucket of those beside the new one: who asked once is forgotten
 * before who asked often. Places are chosen by a keyed hash, so a flood of names crowds out names
 * of floods; to push out a counter that is half used up, somebody has to fill seven others in its
 * place that far, without knowing which names those are.
 */
#ifndef OPS_RATELIMIT_H
#define OPS_RATELIMIT_H

#include "base/err.h"
#include "base/str.h"

struct ratelimit;

/* One limit: a bucket of `burst` tokens, one of which comes back in `every_us`. */
struct ratelimit_rule {
    unsigned id; /* counters of different rules do not meet */
    int64_t burst, every_us;
    bool forgiving; /* tokens are given back or forgotten: a refusal seen here may be outdated */
};

struct ratelimit_ask {
    const struct ratelimit_rule *rule;
    struct str key;
};

struct ratelimit_answer {
    bool allowed;
    int64_t remaining; /* whole tokens left */
    int64_t retry_us;  /* until there is one; 0 when there is */
    int64_t reset_us;  /* until the bucket is full */
};

enum ratelimit_op {
    RATELIMIT_TAKE,      /* a token of each bucket, or of none when one is empty */
    RATELIMIT_LOOK,      /* as it would be, takes nothing */
    RATELIMIT_CHARGE,    /* a token of each whether there is one or not, but no debts */
    RATELIMIT_GIVE_BACK, /* what was taken */
    RATELIMIT_FORGET,    /* full again */
};

enum { RATELIMIT_ASKS_MAX = 8 };

/* entries: counters kept at most, 18 bytes each; their memory is used as they come. */
struct ratelimit *ratelimit_new(size_t entries);
void ratelimit_free(struct ratelimit *r);
/*
 * n buckets at once, at most RATELIMIT_ASKS_MAX. True: each had a token. answers[i] (answers may be
 * NULL) is after the change. Where counters are shared it asks Redis, which parks the fiber up to
 * 5 ms; without an answer in time what is known here decides.
 */
bool ratelimit_do(struct ratelimit *r, enum ratelimit_op op, const struct ratelimit_ask *asks,
                  unsigned n, struct ratelimit_answer *answers);
/* Decided here and at once, by any thread; Redis is told, and what it says counts from then on. */
bool ratelimit_do_now(struct ratelimit *r, enum ratelimit_op op, const struct ratelimit_ask *asks,
                      unsigned n, struct ratelimit_answer *answers);
/*
 * Counters are shared with all who use this Redis and secret; names are kept there as digests under
 * the secret. Before the loops run. e: 2 "config".
 */
MUST_CHECK bool ratelimit_share(struct ratelimit *r, const char *redis_url, struct str secret,
                                struct err *e);
/* Counters in use; walks the table. */
size_t ratelimit_count(struct ratelimit *r);

#endif
