/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wrong passwords make the next attempt wait: a minute after five in five minutes from one network
 * at one account, then longer, up to `lockout_max` (30 min); likewise for an account whoever tries,
 * after more. Nobody can lock an owner out with it: the account's own count stops only networks from
 * which the account has never been used, and mailed codes and links are not counted here.
 *
 * Right or wrong, QUOTA_ACCOUNT counts each attempt at an account too. An account is a name as it was entered, so that unknown ones behave as known ones do. Counters are
 * those of guard/quota.h (bounded, shared where they are). Several levels of token buckets, each
 * slower than the one before: a level holds once the faster ones were used up several times.
 *
 * Around the check of a password:
 *     struct lockout l;
 *     if (!lockout_begin(req, email, &l, e)                       // 429 with Retry-After
 *         && !(l.strangers_only && <known network> && lockout_begin_known(req, &l, e)))
 *         return false;
 *     …
 *     lockout_end(req, &l, LOCKOUT_RIGHT);
 */
#ifndef GUARD_LOCKOUT_H
#define GUARD_LOCKOUT_H

#include "base/err.h"
#include "http/req.h"

enum { LOCKOUT_LEVELS = 4 };

struct lockout {
    struct str pair, account; /* names of the counters; absent: not counted */
    bool taken;               /* an attempt after others: counted before it is made */
    bool strangers_only;      /* refused, but a network known to the account would not be */
};

enum lockout_outcome {
    LOCKOUT_RIGHT,
    LOCKOUT_WRONG,
    LOCKOUT_UNDECIDED, /* no password was compared */
};

/* Before any work. May park a few ms (shared counters), so not in a transaction. */
MUST_CHECK bool lockout_begin(struct req *req, struct str account, struct lockout *out,
                              struct err *e);
/* After a refusal that is for strangers only. */
MUST_CHECK bool lockout_begin_known(struct req *req, struct lockout *l, struct err *e);
void lockout_end(struct req *req, const struct lockout *l, enum lockout_outcome outcome);

#endif
