/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event loops: one libuv loop and one thread each, nothing shared on the hot path. Loop 0 runs on
 * the thread that called loop_run_all and is the only one with signals, the listener and timers of
 * the whole process. Only runtime/ sees libuv.
 */
#ifndef RUNTIME_LOOP_H
#define RUNTIME_LOOP_H

#include "base/err.h"
#include "base/str.h"

struct loop;

enum { LOOP_MAX = 64 };

/* Creates n loops (1..LOOP_MAX), not running yet. Once a process. */
MUST_CHECK bool loop_create_all(unsigned n, struct err *e);
/* Starts threads for loops 1..n-1, runs loop 0 here until loop_stop_all; then joins and frees. */
void loop_run_all(void);
/*
 * From any thread: every loop leaves once its sockets and watches are closed and its fibers have
 * ended, or 1 s has passed. What then still waits is abandoned; a later loop_post does nothing.
 */
void loop_stop_all(void);

unsigned loop_count(void);
struct loop *loop_at(unsigned index);
/* The calling thread's loop, NULL off loop threads. */
struct loop *loop_current(void);
/* 0..loop_count()-1; LOOP_MAX off loop threads (the slot for other threads in sharded counters). */
unsigned loop_index(void);
/* Monotonic, cached at the start of this loop turn (off a loop: read now). */
int64_t loop_now_us(void);

/*
 * Runs fn(arg) on loop l, soon, in order per sender; from any thread, never blocks. fn runs in a
 * callback, not in a fiber.
 */
void loop_post(struct loop *l, void (*fn)(void *), void *arg);
/* fn(arg) at the end of this loop turn, before it sleeps (same thread only). */
void loop_defer(void (*fn)(void *), void *arg);

/* Longest turn seen since the last call, microseconds; and turns over 20 ms, by this loop. */
struct loop_stats {
    int64_t longest_turn_us;
    uint64_t slow_turns;
};
struct loop_stats loop_stats_take(struct loop *l);

#endif
