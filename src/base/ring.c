/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ring.h"

#include <sys/mman.h>

#include "base/err.h"

/*
 * A producer reserves room by moving `tail`, copies its string and then publishes it by storing the
 * length in front of it; the reader takes strings in order, stops at the first that is not
 * published, zeroes what it took and moves `head`.
 */
enum { HEADER = 8 }; /* a string's length; 0: not published */

static _Atomic uint64_t *header_at(struct ring *r, uint64_t pos)
{
    return (_Atomic uint64_t *)(void *)&r->bytes[pos % r->size];
}

static size_t before_end(const struct ring *r, uint64_t pos, size_t n)
{
    size_t room = r->size - pos % r->size;
    return n < room ? n : room;
}

static size_t record_size(size_t n)
{
    return HEADER + ((n + 7) & ~(size_t)7);
}

void ring_open(struct ring *r)
{
    BUG(sem_init(&r->wake, 0, 0) != 0);
}

void ring_wake(struct ring *r)
{
    if (atomic_load(&r->sleeps) && atomic_exchange(&r->sleeps, false))
        sem_post(&r->wake);
}

bool ring_push(struct ring *r, const void *p, size_t n)
{
    size_t need = record_size(n);
    uint64_t pos = atomic_load_explicit(&r->tail, memory_order_relaxed);
    do {
        uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire);
        if (pos + need - head > r->size)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&r->tail, &pos, pos + need,
                                                    memory_order_relaxed, memory_order_relaxed));
    size_t first = before_end(r, pos + HEADER, n);
    memcpy(r->bytes + (pos + HEADER) % r->size, p, first);
    memcpy(r->bytes, (const char *)p + first, n - first);
    /* Sequentially consistent, as are the reader's: either it sees this or we see it asleep. */
    atomic_store(header_at(r, pos), n);
    ring_wake(r);
    return true;
}

bool ring_empty(const struct ring *r)
{
    return atomic_load(&r->head) == atomic_load(&r->tail);
}

uint64_t ring_begin(const struct ring *r)
{
    return atomic_load_explicit(&r->head, memory_order_relaxed);
}

bool ring_next(struct ring *r, uint64_t *pos, struct str piece[2])
{
    if (*pos - ring_begin(r) >= r->size)
        return false;
    size_t n = (size_t)atomic_load(header_at(r, *pos));
    if (n == 0)
        return false;
    size_t first = before_end(r, *pos + HEADER, n);
    piece[0] = str_of((const char *)r->bytes + (*pos + HEADER) % r->size, first);
    piece[1] = str_of((const char *)r->bytes, n - first);
    *pos += record_size(n);
    return true;
}

void ring_take(struct ring *r, uint64_t pos)
{
    uint64_t head = ring_begin(r);
    size_t n = (size_t)(pos - head), first = before_end(r, head, n);
    memset(r->bytes + head % r->size, 0, first);
    memset(r->bytes, 0, n - first);
    atomic_store_explicit(&r->head, pos, memory_order_release);
}

/* Fresh pages are zero, as what was taken is. */
static void pages_release(struct ring *r, size_t from, size_t to)
{
    from = (from + RING_PAGE - 1) / RING_PAGE * RING_PAGE;
    to = to / RING_PAGE * RING_PAGE;
    if (from < to)
        madvise(r->bytes + from, to - from, MADV_DONTNEED);
}

/*
 * A half at a time: its room is taken as a producer takes it, so that nobody writes there, while
 * producers have the other half.
 */
void ring_release(struct ring *r)
{
    size_t half = r->size / 2;
    for (int i = 0; i < 2; i++) {
        uint64_t pos = atomic_load(&r->head), empty = pos;
        if (!atomic_compare_exchange_strong(&r->tail, &empty, pos + half))
            return; /* somebody has begun a string */
        size_t from = pos % r->size, to = from + half;
        pages_release(r, from, to < r->size ? to : r->size);
        if (to > r->size)
            pages_release(r, 0, to - r->size);
        atomic_store_explicit(&r->head, pos + half, memory_order_release);
    }
}

void ring_sleep(struct ring *r, bool (*awake)(void))
{
    uint64_t head = atomic_load(&r->head);
    atomic_store(&r->sleeps, true);
    if (atomic_load(header_at(r, head)) == 0 && !awake()) {
        while (sem_wait(&r->wake) != 0)
            ; /* EINTR */
    } else if (!atomic_exchange(&r->sleeps, false)) {
        sem_wait(&r->wake); /* somebody was quicker: the post is taken, so that none is left over */
    }
}
