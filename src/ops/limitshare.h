/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits shared by nodes: token buckets in Redis or Valkey, changed by one script there, by its
 * clock. One connection on a thread of its own, asks of all loops in one pipeline; the only file
 * that sees hiredis. Never in the way: an ask that is not answered in a few milliseconds counts as
 * not asked, and while Redis is away or slow (breaker "redis") nobody asks.
 */
#ifndef OPS_LIMITSHARE_H
#define OPS_LIMITSHARE_H

#include "base/err.h"
#include "base/str.h"

enum { LIMITSHARE_MAX = 8 };

struct limitshare;

/* One bucket as the script sees it: what is missing of the full one is time. */
struct limitshare_bucket {
    char key[48]; /* names nobody: a digest */
    int64_t every_us, window_us;
    uint64_t tag;       /* the caller's own */
    int64_t missing_us; /* out */
};

struct limitshare_call {
    const char *op; /* "take" "look" "charge" "give" "forget", static */
    unsigned n;
    struct limitshare_bucket buckets[LIMITSHARE_MAX];
    bool allowed; /* out: each bucket had a token, before a take */
};

/*
 * url: redis://[user[:password]@]host[:port][/db] or unix:///path[?db=n]. Starts the thread; Redis
 * may come and go. on_answer is called on that thread with each call that was answered, before its
 * asker goes on. e: 2 "config".
 */
MUST_CHECK bool limitshare_open(const char *url,
                                void (*on_answer)(void *ctx, const struct limitshare_call *),
                                void *ctx, struct limitshare **out, struct err *e);
/* After the loops have ended. */
void limitshare_close(struct limitshare *s);
/* Asks and parks the fiber for at most 5 ms; false: no answer, *call is as it was. */
bool limitshare_ask(struct limitshare *s, struct limitshare_call *call);
/* Asks and does not wait; from any thread. */
void limitshare_tell(struct limitshare *s, const struct limitshare_call *call);
/* For the CLI: whether this Redis can be used now. Blocks up to a second. e: 2 "config", 503. */
MUST_CHECK bool limitshare_probe(const char *url, struct err *e);

#endif
