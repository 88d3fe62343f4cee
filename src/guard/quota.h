/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often: the limits of quota.def, each a token bucket by address, user, key or for the whole
 * instance. The pipeline applies the ones of a route's `limit` column and of the app's surface;
 * features take from the others. Addresses are counted as networks (IPv4 /32, IPv6 /64) with room
 * for many people behind one; accounts are strict. A request with a secret API key comes from a
 * server that speaks for many: no address limit counts it, unless it names the client (guard/context.h).
 *
 * Errors: 429 "over_request_rate_limit" or "over_email_send_rate_limit", with Retry-After.
 */
#ifndef GUARD_QUOTA_H
#define GUARD_QUOTA_H

#include "base/err.h"
#include "http/req.h"
#include "http/resp.h"

enum quota_id {
#define X(id, setting, period_s, by, kind, help) QUOTA_##id,
#include "guard/quota.def"
#undef X
    QUOTA_COUNT
};

struct quota;

struct quota_config {
    bool enabled;                    /* false: nothing is limited */
    /* nobody has set it: clients on the machine's own address, which are its developers or a proxy
       that stands for everybody, are then not counted by it */
    bool usual[QUOTA_COUNT];
    const char *limits[QUOTA_COUNT]; /* "30", "30/1h", "0" (always refused), "off"; NULL: off */
    struct str header;     /* field whose first value names the client; absent: its address does */
    bool mail_confirms;    /* addresses are confirmed by mail: mails are counted (GoTrue) */
    int64_t delay_max_us;  /* longest wait after wrong passwords */
    size_t entries;        /* counters kept at most */
    const char *redis_url; /* counters shared by nodes; NULL: each node for itself */
    struct str secret;     /* of the project: shared counters of another are others */
};

/* e: status 2 "config" for a limit that cannot be read, naming its setting. */
MUST_CHECK bool quota_open(const struct quota_config *c, struct quota **out, struct err *e);
void quota_close(struct quota *q);

/* One more of id for key; an absent key is the client's address. From features, before their work. */
MUST_CHECK bool quota_take(struct req *req, enum quota_id id, struct str key, struct err *e);
/* One more mail to the (lower-cased) address. */
MUST_CHECK bool quota_mail(struct req *req, struct str address, struct err *e);

/* Of the pipeline: the route's limits by address, once the API key is known. */
MUST_CHECK bool quota_address(struct req *req, struct err *e);
/* Likewise by user, once the caller is known. */
MUST_CHECK bool quota_user(struct req *req, struct err *e);
/* X-RateLimit-Limit, -Remaining, -Reset (seconds) of the tightest limit met, on the app's routes. */
void quota_headers(const struct req *req, struct resp *resp);

/* ---- for guard/lockout.c ---- */

struct ratelimit;
struct ratelimit_rule;

struct ratelimit *quota_counters(const struct quota *q);
/* NULL when it is off. */
const struct ratelimit_rule *quota_rule(const struct quota *q, enum quota_id id);
int64_t quota_delay_max_us(const struct quota *q);
/* Whom limits by address count: a network's bytes or a header's text; absent: cannot be known. */
struct str quota_client(struct req *req);
/* Counts and words a refusal; is false. */
bool quota_refused(enum quota_id id, int64_t retry_us, struct err *e);

#endif
