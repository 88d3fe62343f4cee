/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/timer.h"

#include <stdlib.h>

#include "base/clock.h"
#include "runtime/loop_impl.h"

static void heap_put(struct timer_heap *h, unsigned i, struct timer_slot s)
{
    h->v[i] = s;
    s.timer->heap_index = i;
}

static void heap_sift_up(struct timer_heap *h, unsigned i, struct timer_slot s)
{
    while (i > 0) {
        unsigned parent = (i - 1) / 2;
        if (h->v[parent].at_us <= s.at_us)
            break;
        heap_put(h, i, h->v[parent]);
        i = parent;
    }
    heap_put(h, i, s);
}

static void heap_sift_down(struct timer_heap *h, unsigned i, struct timer_slot s)
{
    for (;;) {
        unsigned child = 2 * i + 1;
        if (child >= h->n)
            break;
        if (child + 1 < h->n && h->v[child + 1].at_us < h->v[child].at_us)
            child++;
        if (s.at_us <= h->v[child].at_us)
            break;
        heap_put(h, i, h->v[child]);
        i = child;
    }
    heap_put(h, i, s);
}

static void heap_place(struct timer_heap *h, unsigned i, struct timer_slot s)
{
    if (i > 0 && s.at_us < h->v[(i - 1) / 2].at_us)
        heap_sift_up(h, i, s);
    else
        heap_sift_down(h, i, s);
}

static void heap_grow(struct timer_heap *h)
{
    unsigned cap = h->cap ? h->cap * 2 : 64;
    struct timer_slot *v = realloc(h->v, cap * sizeof(*v));
    BUG(!v); /* 16 bytes a timer: out of memory */
    h->v = v;
    h->cap = cap;
}

static void heap_remove(struct timer_heap *h, struct timer *t)
{
    unsigned i = t->heap_index;
    struct timer_slot last = h->v[--h->n];
    t->at_us = 0;
    if (last.timer != t)
        heap_place(h, i, last);
}

void timer_arm(struct timer *t, int64_t at_mono_us, void (*fn)(struct timer *))
{
    struct loop *l = loop_current();
    BUG(!l);
    struct timer_heap *h = &l->timers;
    int64_t at = at_mono_us > 0 ? at_mono_us : 1; /* 0 means not armed */
    struct timer_slot s = {.at_us = at, .timer = t};
    t->fn = fn;
    if (t->at_us != 0) {
        t->at_us = at;
        heap_place(h, t->heap_index, s);
        return;
    }
    if (h->n == h->cap)
        heap_grow(h);
    t->at_us = at;
    heap_sift_up(h, h->n++, s);
}

void timer_disarm(struct timer *t)
{
    if (t->at_us == 0)
        return;
    struct loop *l = loop_current();
    BUG(!l);
    heap_remove(&l->timers, t);
}

void timer_heap_run(struct loop *l)
{
    struct timer_heap *h = &l->timers;
    /* bounded: a timer that arms itself for a past time waits for the next turn */
    for (unsigned left = h->n; left > 0 && h->n > 0 && h->v[0].at_us <= l->turn_us; left--) {
        struct timer *t = h->v[0].timer;
        heap_remove(h, t);
        t->fn(t);
    }
}

static void timer_on_alarm(uv_timer_t *alarm)
{
    struct loop *l = alarm->data;
    l->timers.alarm_ms = 0; /* the prepare handle comes next and runs what is due */
}

/*
 * The alarm is moved only when it would be late. Deadlines are mostly disarmed or moved onwards
 * before they come, and an early alarm costs one idle turn.
 */
void timer_heap_set_alarm(struct loop *l)
{
    struct timer_heap *h = &l->timers;
    if (h->n == 0)
        return;
    int64_t at_ms = h->v[0].at_us / 1000 + (h->v[0].at_us % 1000 != 0);
    if (h->alarm_ms != 0 && h->alarm_ms <= at_ms)
        return;
    int64_t now_ms = (int64_t)uv_now(&l->uv); /* the same clock as clock_mono_us */
    h->alarm_ms = at_ms;
    uv_timer_start(&h->alarm, timer_on_alarm, at_ms > now_ms ? (uint64_t)(at_ms - now_ms) : 0, 0);
}

void timer_heap_open(struct loop *l)
{
    uv_timer_init(&l->uv, &l->timers.alarm);
    l->timers.alarm.data = l;
}

void timer_heap_close(struct loop *l)
{
    free(l->timers.v);
}
