/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded queue of byte strings from many threads to one, in memory that the owner gives. A
 * producer never waits, neither for the reader nor for another producer: what has no room is
 * refused. One that is preempted half-way only holds up the reader.
 */
#ifndef BASE_RING_H
#define BASE_RING_H

#include <semaphore.h>
#include <stdatomic.h>

#include "base/str.h"

enum { RING_PAGE = 4096 }; /* where pages are larger the memory just stays resident */

struct ring {
    unsigned char *bytes; /* zero; aligned to RING_PAGE, or never released */
    size_t size;          /* a power of two, at least 2 * RING_PAGE */
    sem_t wake;
    _Alignas(64) _Atomic uint64_t tail; /* bytes reserved since the start */
    _Alignas(64) _Atomic uint64_t head; /* bytes taken by the reader */
    _Alignas(64) atomic_bool sleeps;
};

/* A ring on static memory of a power of two bytes. */
#define RING_INIT(memory)                          \
    {                                              \
        .bytes = (memory), .size = sizeof(memory), \
    }

/* Before the first reader. Once: a late producer may still hold the ring when it is closed. */
void ring_open(struct ring *r);
/* Copies p in, n > 0; false when there is no room. Wakes the reader if it sleeps. From any thread. */
bool ring_push(struct ring *r, const void *p, size_t n);
/* Ends the reader's sleep. */
void ring_wake(struct ring *r);
bool ring_empty(const struct ring *r);

/* ---- the reader ---- */

/*
 * Walks what is published: *pos begins as ring_begin. Two pieces, since a string may lie around the
 * ring's end; the second is empty otherwise. False: nothing more.
 */
uint64_t ring_begin(const struct ring *r);
bool ring_next(struct ring *r, uint64_t *pos, struct str piece[2]);
/* Frees the room of everything before pos. */
void ring_take(struct ring *r, uint64_t pos);
/* Gives the memory of an empty ring back to the system. */
void ring_release(struct ring *r);
/* Sleeps until something is published or ring_wake; not at all when awake() says so. */
void ring_sleep(struct ring *r, bool (*awake)(void));

#endif
