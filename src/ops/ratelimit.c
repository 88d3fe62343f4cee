/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/ratelimit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/map.h"
#include "crypto/hash.h"
#include "ops/limitshare.h"

enum {
    WAYS = 7,   /* with their windows exactly two cache lines */
    LOCKS = 64, /* more than threads */
    SETS_MIN = 1 << 6,
    SETS_MAX = 1 << 20,
    WINDOW_S_MAX = UINT16_MAX,
};

struct counter {
    uint64_t
        key; /* hash of rule and name; 0: none. Two names that share all 64 bits share a bucket */
    int64_t full_us; /* monotonic; the bucket is full from then on */
};

/* Counters that compete for room. */
struct set {
    uint16_t window_s[WAYS]; /* time in which the empty bucket fills: what full_us is compared by */
    uint16_t spare;
    struct counter counters[WAYS];
};

struct ratelimit {
    size_t sets_n; /* a power of two */
    struct set *sets;
    pthread_mutex_t locks[LOCKS];
    struct limitshare *share; /* NULL: alone */
    unsigned char secret[32]; /* of shared names */
};

struct ratelimit *ratelimit_new(size_t entries)
{
    struct ratelimit *r = calloc(1, sizeof(*r));
    BUG(!r);
    r->sets_n = SETS_MIN;
    while (r->sets_n * WAYS < entries && r->sets_n < SETS_MAX)
        r->sets_n *= 2;
    /* Zero pages of the kernel: a page is there once a counter is. */
    r->sets = mmap(NULL, r->sets_n * sizeof(struct set), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    BUG(r->sets == MAP_FAILED);
    for (unsigned i = 0; i < LOCKS; i++)
        pthread_mutex_init(&r->locks[i], NULL);
    return r;
}

void ratelimit_free(struct ratelimit *r)
{
    if (!r)
        return;
    limitshare_close(r->share);
    munmap(r->sets, r->sets_n * sizeof(struct set));
    for (unsigned i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&r->locks[i]);
    free(r);
}

static uint64_t hash_of(const struct ratelimit_ask *ask)
{
    /* An odd multiplier keeps the rules of one name apart, and the name's hash as random as it was. */
    uint64_t h = map_hash(ask->key) ^ (ask->rule->id + 1) * 0x9e3779b97f4a7c15ULL;
    return h ? h : 1;
}

static int64_t window_of(const struct ratelimit_rule *rule)
{
    return rule->burst * rule->every_us;
}

/* How much of the bucket is gone, in 1/1024. */
static int64_t used(const struct set *s, unsigned i, int64_t now_us)
{
    int64_t missing_us = s->counters[i].full_us - now_us;
    return missing_us <= 0 ? 0 : missing_us / CLOCK_MS * 1024 / (s->window_s[i] * 1000LL + 1);
}

static struct counter *find(struct set *s, uint64_t key)
{
    for (unsigned i = 0; i < WAYS; i++)
        if (s->counters[i].key == key)
            return &s->counters[i];
    return NULL;
}

/* The place whose loss matters least: free, full again, or the least used. */
static struct counter *make_room(struct set *s, uint64_t key, int64_t window_us, int64_t now_us)
{
    unsigned least = 0;
    for (unsigned i = 1; i < WAYS; i++)
        if (used(s, i, now_us) < used(s, least, now_us))
            least = i;
    int64_t window_s = window_us / CLOCK_S;
    s->window_s[least] = (uint16_t)(window_s < WINDOW_S_MAX ? window_s : WINDOW_S_MAX);
    s->counters[least] = (struct counter){key, now_us};
    return &s->counters[least];
}

/* What is missing of a full bucket, as time: before and after. False: no token is there to take. */
static bool apply(enum ratelimit_op op, const struct ratelimit_rule *rule, int64_t *missing_us)
{
    int64_t window_us = window_of(rule), after = *missing_us + rule->every_us;
    bool allowed = after <= window_us;
    if (op == RATELIMIT_TAKE && allowed)
        *missing_us = after;
    else if (op == RATELIMIT_CHARGE)
        *missing_us = allowed ? after : window_us;
    else if (op == RATELIMIT_GIVE_BACK)
        *missing_us = *missing_us > rule->every_us ? *missing_us - rule->every_us : 0;
    else if (op == RATELIMIT_FORGET)
        *missing_us = 0;
    return allowed;
}

static struct ratelimit_answer answer_of(const struct ratelimit_rule *rule, bool allowed,
                                         int64_t missing_us)
{
    int64_t window_us = window_of(rule);
    int64_t retry_us = missing_us + rule->every_us - window_us;
    return (struct ratelimit_answer){
        .allowed = allowed,
        .remaining = (window_us - missing_us) / rule->every_us,
        .retry_us = retry_us > 0 ? retry_us : 0,
        .reset_us = missing_us,
    };
}

static struct ratelimit_answer do_one(struct ratelimit *r, enum ratelimit_op op,
                                      const struct ratelimit_ask *ask, int64_t now_us)
{
    uint64_t key = hash_of(ask);
    size_t at = key & (r->sets_n - 1);
    struct set *s = &r->sets[at];
    pthread_mutex_lock(&r->locks[at % LOCKS]);
    struct counter *c = find(s, key);
    int64_t missing_us = c && c->full_us > now_us ? c->full_us - now_us : 0;
    bool allowed = apply(op, ask->rule, &missing_us);
    if (!c && missing_us > 0)
        c = make_room(s, key, window_of(ask->rule), now_us);
    if (c)
        c->full_us = now_us + missing_us;
    pthread_mutex_unlock(&r->locks[at % LOCKS]);
    return answer_of(ask->rule, allowed, missing_us);
}

static bool do_here(struct ratelimit *r, enum ratelimit_op op, const struct ratelimit_ask *asks,
                    unsigned n, struct ratelimit_answer *answers)
{
    int64_t now_us = clock_mono_us();
    bool all = true;
    unsigned done = 0;
    for (; done < n && (all || op != RATELIMIT_TAKE); done++) {
        answers[done] = do_one(r, op, &asks[done], now_us);
        all = all && answers[done].allowed;
    }
    if (op != RATELIMIT_TAKE || all)
        return all;
    for (unsigned i = 0; i + 1 < done; i++) /* all or none */
        answers[i] = do_one(r, RATELIMIT_GIVE_BACK, &asks[i], now_us);
    for (unsigned i = done; i < n; i++)
        answers[i] = do_one(r, RATELIMIT_LOOK, &asks[i], now_us);
    return false;
}

/* ---- shared ------------------------------------------------------------------------------------- */

/* What Redis says is how it is: it has counted what other nodes took. */
static void on_answer(void *ctx, const struct limitshare_call *call)
{
    struct ratelimit *r = ctx;
    int64_t now_us = clock_mono_us();
    for (unsigned i = 0; i < call->n; i++) {
        const struct limitshare_bucket *b = &call->buckets[i];
        size_t at = b->tag & (r->sets_n - 1);
        pthread_mutex_lock(&r->locks[at % LOCKS]);
        struct counter *c = find(&r->sets[at], b->tag);
        if (!c && b->missing_us > 0)
            c = make_room(&r->sets[at], b->tag, b->window_us, now_us);
        if (c)
            c->full_us = now_us + b->missing_us;
        pthread_mutex_unlock(&r->locks[at % LOCKS]);
    }
}

bool ratelimit_share(struct ratelimit *r, const char *redis_url, struct str secret, struct err *e)
{
    hash_sha256_2(S("basalt limits"), secret, r->secret);
    return limitshare_open(redis_url, on_answer, r, &r->share, e);
}

/* "basalt:limit:<rule>:<digest of secret and name>" */
static void shared_key(const struct ratelimit *r, const struct ratelimit_ask *ask, char out[48])
{
    unsigned char digest[32];
    char hex[2 * 12 + 1];
    hash_sha256_2(str_of((const char *)r->secret, sizeof(r->secret)), ask->key, digest);
    hex_encode(digest, 12, hex);
    snprintf(out, 48, "basalt:limit:%u:%s", ask->rule->id, hex);
}

static void shared_call(const struct ratelimit *r, enum ratelimit_op op,
                        const struct ratelimit_ask *asks, unsigned n, struct limitshare_call *out)
{
    static const char *const words[] = {
        [RATELIMIT_TAKE] = "take",     [RATELIMIT_LOOK] = "look",
        [RATELIMIT_CHARGE] = "charge", [RATELIMIT_GIVE_BACK] = "give",
        [RATELIMIT_FORGET] = "forget",
    };
    out->op = words[op];
    out->n = n;
    for (unsigned i = 0; i < n; i++) {
        struct limitshare_bucket *b = &out->buckets[i];
        shared_key(r, &asks[i], b->key);
        b->every_us = asks[i].rule->every_us;
        b->window_us = window_of(asks[i].rule);
        b->tag = hash_of(&asks[i]);
    }
}

static bool is_final(enum ratelimit_op op, bool ok, const struct ratelimit_ask *asks)
{
    return op == RATELIMIT_TAKE && !ok && !asks[0].rule->forgiving;
}

bool ratelimit_do_now(struct ratelimit *r, enum ratelimit_op op, const struct ratelimit_ask *asks,
                      unsigned n, struct ratelimit_answer *answers)
{
    struct ratelimit_answer room[RATELIMIT_ASKS_MAX];
    struct limitshare_call call;
    BUG(n > RATELIMIT_ASKS_MAX);
    bool ok = do_here(r, op, asks, n, answers ? answers : room);
    if (!r->share || op == RATELIMIT_LOOK || (op == RATELIMIT_TAKE && !ok))
        return ok;
    shared_call(r, op, asks, n, &call);
    limitshare_tell(r->share, &call);
    return ok;
}

bool ratelimit_do(struct ratelimit *r, enum ratelimit_op op, const struct ratelimit_ask *asks,
                  unsigned n, struct ratelimit_answer *answers)
{
    struct ratelimit_answer room[RATELIMIT_ASKS_MAX];
    struct limitshare_call call;
    BUG(n > RATELIMIT_ASKS_MAX);
    if (!answers)
        answers = room;
    bool ok = do_here(r, op, asks, n, answers);
    if (!r->share || is_final(op, ok, asks))
        return ok;
    shared_call(r, op, asks, n, &call);
    if (!limitshare_ask(r->share, &call))
        return ok;
    for (unsigned i = 0; i < n; i++) {
        int64_t missing_us = call.buckets[i].missing_us, ignored = missing_us;
        bool took = op == RATELIMIT_TAKE && call.allowed;
        answers[i] = answer_of(asks[i].rule, took || apply(RATELIMIT_LOOK, asks[i].rule, &ignored),
                               missing_us);
    }
    return call.allowed;
}

size_t ratelimit_count(struct ratelimit *r)
{
    int64_t now_us = clock_mono_us();
    size_t n = 0;
    for (size_t at = 0; at < r->sets_n; at++) {
        pthread_mutex_lock(&r->locks[at % LOCKS]);
        for (unsigned i = 0; i < WAYS; i++)
            n += r->sets[at].counters[i].full_us > now_us;
        pthread_mutex_unlock(&r->locks[at % LOCKS]);
    }
    return n;
}
