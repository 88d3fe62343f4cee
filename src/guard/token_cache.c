/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/token_cache.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "guard/epoch.h"
#include "guard/idle.h"
#include "ops/metrics.h"

/* Moving an entry touches its neighbours, which are cold: once in ten seconds is order enough. */
enum { MOVE_EVERY_US = 10 * CLOCK_S };

/* Room that an entry is granted on average: clients choose how much of 16 KiB a token takes. */
enum { ENTRY_BYTES = 2048 };

struct entry {
    struct list by_use;
    size_t bytes;
    struct token_digest digest;
    int64_t moved_us;    /* when it last went to the front of by_use */
    uint32_t generation; /* of the epochs: keys changed */
    struct principal principal;
    char text[]; /* claims, role, aud, subject, aal */
};

/* Dropped at once when the cache is idle: far below a millisecond. */
enum { SHED = 1000 };

struct token_cache {
    struct idle idle; /* first: shed() finds the cache by it */
    struct map by_digest;
    struct list by_use; /* most recent first */
    size_t count, max;
    size_t bytes; /* at most max * ENTRY_BYTES */
};

static struct str key_of(const struct token_digest *d)
{
    return str_of((const char *)d->bytes, sizeof(d->bytes));
}

static bool shed(struct idle *i);

struct token_cache *token_cache_new(size_t entries_max)
{
    struct token_cache *c = calloc(1, sizeof(*c));
    BUG(!c);
    map_init(&c->by_digest);
    list_init(&c->by_use);
    c->idle.shed = shed;
    c->max = entries_max;
    return c;
}

static void entry_drop(struct token_cache *c, struct entry *t)
{
    map_remove(&c->by_digest, key_of(&t->digest));
    list_remove(&t->by_use);
    c->count--;
    c->bytes -= t->bytes;
    free(t);
}

static bool shed(struct idle *i)
{
    struct token_cache *c = (struct token_cache *)(void *)i;
    for (unsigned n = 0; n < SHED && !list_empty(&c->by_use); n++)
        entry_drop(c, LIST_ENTRY(c->by_use.prev, struct entry, by_use));
    if (c->count > 0)
        return true;
    map_close(&c->by_digest);
    return false;
}

void token_cache_free(struct token_cache *c)
{
    if (!c)
        return;
    while (!list_empty(&c->by_use))
        entry_drop(c, LIST_ENTRY(c->by_use.next, struct entry, by_use));
    map_close(&c->by_digest);
    free(c);
}

const struct principal *token_cache_get(struct token_cache *c, const struct token_digest *d, int64_t now_us)
{
    idle_look(&c->idle);
    struct entry *t = map_get(&c->by_digest, key_of(d));
    if (t && (t->principal.expires_us <= now_us || t->generation != epoch_generation())) {
        entry_drop(c, t);
        t = NULL;
    }
    metrics_add(t ? METRIC_token_cache_hits : METRIC_token_cache_misses, 0, 1);
    if (!t)
        return NULL;
    if (now_us - t->moved_us >= MOVE_EVERY_US) {
        list_remove(&t->by_use);
        list_push_front(&c->by_use, &t->by_use);
        t->moved_us = now_us;
    }
    return &t->principal;
}

static struct str keep(char **at, struct str s)
{
    if (!s.p)
        return s;
    char *p = *at;
    if (s.n)
        memcpy(p, s.p, s.n);
    *at += s.n;
    return str_of(p, s.n);
}

static void make_room(struct token_cache *c, size_t bytes)
{
    while (c->count > 0 && (c->count >= c->max || c->bytes + bytes > c->max * ENTRY_BYTES)) {
        entry_drop(c, LIST_ENTRY(c->by_use.prev, struct entry, by_use));
        metrics_add(METRIC_token_cache_evictions, 0, 1);
    }
}

void token_cache_put(struct token_cache *c, const struct token_digest *d, const struct principal *p, int64_t now_us,
                     uint32_t generation)
{
    if (c->max == 0 || p->expires_us < now_us + CLOCK_S || map_get(&c->by_digest, key_of(d)))
        return;
    size_t text = p->claims.n + p->role.n + p->aud.n + p->subject.n + p->aal.n;
    make_room(c, sizeof(struct entry) + text);
    struct entry *t = malloc(sizeof(*t) + text);
    if (!t)
        return; /* a cache may stay empty */
    t->bytes = sizeof(*t) + text;
    t->digest = *d;
    t->generation = generation;
    t->principal = *p;
    char *at = t->text;
    t->principal.claims = keep(&at, p->claims);
    t->principal.role = keep(&at, p->role);
    t->principal.aud = keep(&at, p->aud);
    t->principal.subject = keep(&at, p->subject);
    t->principal.aal = keep(&at, p->aal);
    t->moved_us = now_us;
    t->by_use = (struct list){0};
    list_push_front(&c->by_use, &t->by_use);
    map_put(&c->by_digest, key_of(&t->digest), t);
    c->count++;
    c->bytes += t->bytes;
}
