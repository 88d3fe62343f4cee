/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/lockout.h"

#include "base/clock.h"
#include "guard/network.h"
#include "guard/quota.h"
#include "guard/services.h"
#include "ops/ratelimit.h"

enum { ACCOUNT_MAX = 320, ASKS = 2 * LOCKOUT_LEVELS };

/*
 * From the setting's own bucket ("5 in 5 minutes", one comes back in a minute) the slower ones: how
 * many more failures they take, in tenths, and how slowly one comes back.
 */
static const struct {
    int64_t tenths, every_s;
} levels[LOCKOUT_LEVELS] = {{10, 0}, {16, 5 * 60}, {24, 15 * 60}, {32, 30 * 60}};

static struct ratelimit_rule rule_of(const struct quota *q, enum quota_id id, unsigned level)
{
    const struct ratelimit_rule *first = quota_rule(q, id);
    int64_t max_us = quota_delay_max_us(q), every_us = levels[level].every_s * CLOCK_S;
    if (every_us < first->every_us)
        every_us = first->every_us;
    return (struct ratelimit_rule){
        .id = QUOTA_COUNT + (unsigned)id * LOCKOUT_LEVELS + level,
        .burst = (first->burst * levels[level].tenths + 9) / 10,
        .every_us = every_us < max_us ? every_us : max_us,
        .forgiving = true,
    };
}

/* The buckets of an attempt: those of the pair first. */
struct asks {
    unsigned n, pair_n;
    struct ratelimit_rule rules[ASKS];
    struct ratelimit_ask asks[ASKS];
};

static void add(struct asks *a, const struct quota *q, enum quota_id id, struct str key)
{
    for (unsigned level = 0; key.p && level < LOCKOUT_LEVELS; level++, a->n++) {
        a->rules[a->n] = rule_of(q, id, level);
        a->asks[a->n] = (struct ratelimit_ask){&a->rules[a->n], key};
    }
}

static void asks_of(struct asks *a, struct req *req, const struct lockout *l)
{
    const struct quota *q = req->services->quota;
    a->n = 0;
    add(a, q, QUOTA_LOCKOUT, l->pair);
    a->pair_n = a->n;
    add(a, q, QUOTA_LOCKOUT_ACCOUNT, l->account);
}

/* ASCII case does not make another account; a name that is no address is cut short. */
static struct str name_of(struct arena *a, struct str account)
{
    size_t n = account.n < ACCOUNT_MAX ? account.n : ACCOUNT_MAX;
    char *p = arena_alloc(a, n + 1);
    for (size_t i = 0; i < n; i++)
        p[i] =
            (char)(account.p[i] >= 'A' && account.p[i] <= 'Z' ? account.p[i] | 0x20 : account.p[i]);
    return str_of(p, n);
}

/* Behind a proxy that hides its clients there is no network to count by, nor one to know. */
static struct str pair_of(struct req *req, struct str account)
{
    struct str client = quota_client(req);
    if (!client.p)
        return client;
    char *p = arena_alloc(req->arena, account.n + 1 + client.n);
    if (account.n)
        memcpy(p, account.p, account.n); /* and a NUL, which no e-mail address has */
    memcpy(p + account.n + 1, client.p, client.n);
    return str_of(p, account.n + 1 + client.n);
}

static bool untouched(const struct asks *a, const struct ratelimit_answer *answers)
{
    for (unsigned i = 0; i < a->n; i++)
        if (answers[i].remaining < a->rules[i].burst)
            return false;
    return true;
}

/* Sessions note the connection's address: only who is counted by it can be known by it. */
static bool knowable(struct req *req)
{
    struct network w = network_of(req->client_ip);
    return w.n > 0 && str_eq(quota_client(req), network_bytes(&w));
}

static bool refused(struct req *req, struct lockout *l, const struct asks *a,
                    const struct ratelimit_answer *answers, struct err *e)
{
    int64_t retry_us = 0;
    bool pair_free = a->pair_n > 0;
    for (unsigned i = 0; i < a->n; i++) {
        if (answers[i].retry_us > retry_us)
            retry_us = answers[i].retry_us;
        if (i < a->pair_n && answers[i].retry_us > 0)
            pair_free = false;
    }
    l->strangers_only = pair_free && knowable(req);
    return quota_refused(pair_free ? QUOTA_LOCKOUT_ACCOUNT : QUOTA_LOCKOUT, retry_us, e);
}

/*
 * A first attempt is only looked up, so that many at once by their owner pass; their number is
 * limited by QUOTA_ACCOUNT. After a failure each is counted before it is made: many guesses sent at
 * once are not one guess.
 */
static bool begin(struct req *req, struct lockout *l, struct err *e)
{
    struct ratelimit *counters = quota_counters(req->services->quota);
    struct ratelimit_answer answers[ASKS];
    struct asks a;
    asks_of(&a, req, l);
    if (a.n == 0)
        return true;
    ratelimit_do(counters, RATELIMIT_LOOK, a.asks, a.n, answers);
    if (untouched(&a, answers))
        return true;
    l->taken = ratelimit_do(counters, RATELIMIT_TAKE, a.asks, a.n, answers);
    return l->taken || refused(req, l, &a, answers, e);
}

bool lockout_begin(struct req *req, struct str account, struct lockout *out, struct err *e)
{
    const struct quota *q = req->services->quota;
    *out = (struct lockout){0};
    struct str name = name_of(req->arena, account);
    if (!quota_take(req, QUOTA_ACCOUNT, name, e))
        return false;
    if (quota_rule(q, QUOTA_LOCKOUT))
        out->pair = pair_of(req, name);
    if (quota_rule(q, QUOTA_LOCKOUT_ACCOUNT))
        out->account = name;
    return begin(req, out, e);
}

bool lockout_begin_known(struct req *req, struct lockout *l, struct err *e)
{
    err_clear(e);
    l->account = (struct str){0};
    return begin(req, l, e);
}

void lockout_end(struct req *req, const struct lockout *l, enum lockout_outcome outcome)
{
    struct ratelimit *counters = quota_counters(req->services->quota);
    struct asks a;
    asks_of(&a, req, l);
    if (a.n == 0)
        return;
    if (outcome == LOCKOUT_WRONG && !l->taken)
        ratelimit_do_now(counters, RATELIMIT_CHARGE, a.asks, a.n, NULL);
    if (outcome != LOCKOUT_WRONG && l->taken)
        ratelimit_do_now(counters, RATELIMIT_GIVE_BACK, a.asks, a.n, NULL);
    if (outcome == LOCKOUT_RIGHT && l->taken && a.pair_n > 0)
        ratelimit_do_now(counters, RATELIMIT_FORGET, a.asks, a.pair_n, NULL);
}
