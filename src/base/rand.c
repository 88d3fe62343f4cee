/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rand.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/random.h>

#include "base/err.h"

/*
 * A pool a thread, so that no lock is shared and a system call serves some thirty UUIDs. What was
 * given out is wiped at once. A child of fork has a higher generation and throws away the pool it
 * inherited, else parent and child would draw the same numbers.
 */
enum { POOL_BYTES = 512 };

static _Thread_local struct {
    unsigned char bytes[POOL_BYTES];
    size_t left;
    unsigned generation;
} pool;

static atomic_uint fork_generation = 1;
static pthread_once_t fork_watched = PTHREAD_ONCE_INIT;

static void child_forked(void)
{
    atomic_fetch_add(&fork_generation, 1);
}

static void watch_fork(void)
{
    BUG(pthread_atfork(NULL, NULL, child_forked) != 0);
}

static void kernel_bytes(unsigned char *out, size_t n)
{
    while (n > 0) {
        ssize_t got = getrandom(out, n, 0);
        BUG(got < 0 && errno != EINTR); /* every kernel that we run on has it */
        if (got < 0)
            continue;
        out += got;
        n -= (size_t)got;
    }
}

void rand_bytes(void *out, size_t n)
{
    if (n > POOL_BYTES / 2) {
        kernel_bytes(out, n);
        return;
    }
    unsigned generation = atomic_load_explicit(&fork_generation, memory_order_relaxed);
    if (pool.left < n || pool.generation != generation) {
        pthread_once(&fork_watched, watch_fork);
        kernel_bytes(pool.bytes, POOL_BYTES);
        pool.left = POOL_BYTES;
        pool.generation = generation;
    }
    unsigned char *from = pool.bytes + (POOL_BYTES - pool.left);
    if (n)
        memcpy(out, from, n);
    explicit_bzero(from, n);
    pool.left -= n;
}

uint64_t rand_u64(void)
{
    uint64_t v = 0;
    rand_bytes(&v, sizeof(v));
    return v;
}

uint32_t rand_below(uint32_t bound)
{
    BUG(bound == 0);
    /* D. Lemire, "Fast random integer generation in an interval": a product's high half, where the
     * few low halves that would favour some results are drawn again. */
    uint32_t again_below = (0 - bound) % bound;
    for (;;) {
        uint32_t v = 0;
        rand_bytes(&v, sizeof(v));
        uint64_t product = (uint64_t)v * bound;
        if ((uint32_t)product >= again_below)
            return (uint32_t)(product >> 32);
    }
}

void rand_text(char *out, size_t n, struct str alphabet)
{
    BUG(alphabet.n == 0 || alphabet.n > 256);
    for (size_t i = 0; i < n; i++)
        out[i] = alphabet.p[rand_below((uint32_t)alphabet.n)];
    out[n] = '\0';
}
