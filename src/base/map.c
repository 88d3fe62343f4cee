/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <endian.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/rand.h"

struct map_slot {
    struct str key;
    void *value;
    uint64_t hash;
    bool taken;
};

enum { FIRST_CAP = 16 };

static uint64_t key0, key1;
static pthread_once_t keyed = PTHREAD_ONCE_INIT;

static void make_key(void)
{
    rand_bytes(&key0, sizeof(key0));
    rand_bytes(&key1, sizeof(key1));
}

static uint64_t rotl(uint64_t v, int by)
{
    return v << by | v >> (64 - by);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

/* Up to eight bytes, little endian. */
static uint64_t load_le(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static uint64_t load_word(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

static inline void sip_word(uint64_t v[4], uint64_t m)
{
    v[3] ^= m;
    sip_round(v);
    sip_round(v);
    v[0] ^= m;
}

/* SipHash-2-4 (Aumasson, Bernstein 2012). */
static uint64_t siphash(struct str key, uint64_t k0, uint64_t k1)
{
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575ULL, k1 ^ 0x646f72616e646f6dULL,
                     k0 ^ 0x6c7967656e657261ULL, k1 ^ 0x7465646279746573ULL};
    const unsigned char *p = (const unsigned char *)key.p;
    size_t left = key.n;
    for (; left >= 8; left -= 8, p += 8)
        sip_word(v, load_word(p));
    sip_word(v, load_le(p, left) | (uint64_t)key.n << 56);
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t map_hash(struct str key)
{
    pthread_once(&keyed, make_key);
    return siphash(key, key0, key1);
}

void map_init(struct map *m)
{
    *m = (struct map){0};
}

void map_close(struct map *m)
{
    free(m->slots);
    map_init(m);
}

/* The slot that holds key, or the empty one where it belongs. There is always an empty one. */
static struct map_slot *find(const struct map *m, struct str key, uint64_t hash)
{
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct map_slot *s = &m->slots[i];
        if (!s->taken || (s->hash == hash && str_eq(s->key, key)))
            return s;
    }
}

void *map_get(const struct map *m, struct str key)
{
    if (m->live == 0)
        return NULL;
    const struct map_slot *s = find(m, key, map_hash(key));
    return s->taken ? s->value : NULL;
}

static void grow(struct map *m)
{
    struct map bigger = {.cap = m->cap ? m->cap * 2 : FIRST_CAP, .live = m->live};
    BUG(bigger.cap > UINT32_MAX); /* map_next packs two places into a cursor */
    bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
    BUG(!bigger.slots);
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].taken)
            *find(&bigger, m->slots[i].key, m->slots[i].hash) = m->slots[i];
    free(m->slots);
    *m = bigger;
}

void *map_put(struct map *m, struct str key, void *value)
{
    if (m->live + 1 > m->cap / 4 * 3)
        grow(m);
    uint64_t hash = map_hash(key);
    struct map_slot *s = find(m, key, hash);
    void *former = s->taken ? s->value : NULL;
    m->live += !s->taken;
    *s = (struct map_slot){.key = key, .value = value, .hash = hash, .taken = true};
    return former;
}

/*
 * Closes the gap at i: an entry behind it moves in unless its home lies after the gap. So a search
 * may always stop at the first empty slot, and no marks of former entries are needed.
 */
static void close_gap(struct map *m, size_t i)
{
    size_t mask = m->cap - 1;
    for (size_t j = (i + 1) & mask; m->slots[j].taken; j = (j + 1) & mask) {
        size_t home = m->slots[j].hash & mask;
        if (((j - home) & mask) >= ((j - i) & mask)) {
            m->slots[i] = m->slots[j];
            i = j;
        }
    }
    m->slots[i] = (struct map_slot){0};
}

void *map_remove(struct map *m, struct str key)
{
    if (m->live == 0)
        return NULL;
    struct map_slot *s = find(m, key, map_hash(key));
    if (!s->taken)
        return NULL;
    void *former = s->value;
    m->live--;
    close_gap(m, (size_t)(s - m->slots));
    return former;
}

/*
 * Walks downwards, once round, from an empty slot. Removing the entry just given moves only entries
 * of higher place, up to the next empty slot, into its gap: they were all given before, and the walk
 * does not come back to the gap. The start stays empty as long as nothing is put in. The cursor
 * holds the start in its upper half and one more than the steps made in its lower.
 */
void *map_next(const struct map *m, size_t *cursor)
{
    if (m->live == 0)
        return NULL;
    size_t start = *cursor >> 32, step = *cursor & UINT32_MAX;
    if (step == 0) {
        while (m->slots[start].taken)
            start++;
        step = 1;
    }
    for (; step < m->cap; step++) {
        const struct map_slot *s = &m->slots[(start - step) & (m->cap - 1)];
        if (s->taken) {
            *cursor = start << 32 | (step + 1);
            return s->value;
        }
    }
    *cursor = start << 32 | step;
    return NULL;
}
