/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/loop.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "runtime/loop_impl.h"

enum {
    LOOP_ROUNDS = 4,               /* of work begetting work, before sockets get their turn again */
    LOOP_SLOW_TURN_US = 20 * 1000, /* architecture invariant 6 */
    LOOP_LEAVE_US = 1000 * 1000,   /* what handles get to close after loop_stop_all */
    LOOP_LOG_EVERY_US = 1000 * 1000,
};

/* Static, never freed: another thread may post to a loop that has just ended. */
static struct loop loops[LOOP_MAX];
static unsigned loops_n;
static _Thread_local struct loop *here;

unsigned loop_count(void)
{
    return loops_n;
}

struct loop *loop_at(unsigned index)
{
    BUG(index >= loops_n);
    return &loops[index];
}

struct loop *loop_current(void)
{
    return here;
}

unsigned loop_index(void)
{
    return here ? here->index : LOOP_MAX;
}

void loop_enter(struct loop *l)
{
    if (l->turn_us != 0)
        return;
    l->turn_us = clock_mono_us();
    atomic_store_explicit(&l->sleeping, false, memory_order_relaxed);
}

int64_t loop_now_us(void)
{
    return here && here->turn_us != 0 ? here->turn_us : clock_mono_us();
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void calls_add(struct loop_calls *c, void (*fn)(void *), void *arg)
{
    if (c->n == c->cap) {
        unsigned cap = c->cap ? c->cap * 2 : 64;
        struct loop_call *v = realloc(c->v, cap * sizeof(*v));
        BUG(!v); /* out of memory */
        c->v = v;
        c->cap = cap;
    }
    c->v[c->n++] = (struct loop_call){fn, arg};
}

static void calls_swap(struct loop_calls *a, struct loop_calls *b)
{
    struct loop_calls t = *a;
    *a = *b;
    *b = t;
}

void loop_note(struct loop *l, const char *name, int64_t begin_us)
{
    int64_t took = clock_mono_us() - begin_us;
    if (took <= l->culprit_us)
        return;
    if (l->culprit_begin_us >= begin_us && l->culprit_us * 2 >= took)
        return; /* it ran inside of this, and explains it better */
    l->culprit_begin_us = begin_us;
    l->culprit_us = took;
    l->culprit = name;
}

static bool calls_run(struct loop *l, struct loop_calls *c)
{
    unsigned n = c->n;
    int64_t begin = LOOP_DEBUG && n > 0 ? clock_mono_us() : 0;
    for (unsigned i = 0; i < n; i++)
        c->v[i].fn(c->v[i].arg);
    c->n = 0;
    if (LOOP_DEBUG && n > 0)
        loop_note(l, "deferred call", begin);
    return n > 0;
}

/* Stands for the mailbox of a loop that has ended. */
static struct loop_mail mail_shut_mark;

static struct loop_mail *mail_reverse(struct loop_mail *m)
{
    struct loop_mail *oldest = NULL;
    while (m) {
        struct loop_mail *next = m->next;
        m->next = oldest;
        oldest = m;
        m = next;
    }
    return oldest;
}

static bool mail_run(struct loop *l)
{
    if (!atomic_load_explicit(&l->mail, memory_order_relaxed))
        return false;
    int64_t begin = LOOP_DEBUG ? clock_mono_us() : 0;
    struct loop_mail *m = mail_reverse(atomic_exchange(&l->mail, NULL));
    while (m) {
        struct loop_mail *next = m->next;
        struct loop_call c = m->call;
        free(m);
        c.fn(c.arg);
        m = next;
    }
    if (LOOP_DEBUG)
        loop_note(l, "posted call", begin);
    return true;
}

static bool mail_push(struct loop *l, struct loop_mail *m)
{
    m->next = atomic_load_explicit(&l->mail, memory_order_relaxed);
    do {
        if (m->next == &mail_shut_mark)
            return false;
    } while (!atomic_compare_exchange_weak(&l->mail, &m->next, m));
    return true;
}

bool loop_post_try(struct loop *l, void (*fn)(void *), void *arg)
{
    struct loop_mail *m = malloc(sizeof(*m));
    BUG(!m); /* out of memory */
    m->call = (struct loop_call){fn, arg};
    atomic_fetch_add(&l->posting, 1); /* until then the handle stays open */
    bool open = mail_push(l, m);
    /* Either the loop sees our mail before it sleeps or we see that it sleeps: both sides store,
       then load, sequentially consistent. */
    if (open && atomic_load(&l->sleeping) && atomic_exchange(&l->sleeping, false))
        uv_async_send(&l->async);
    atomic_fetch_sub(&l->posting, 1);
    if (!open)
        free(m);
    return open;
}

void loop_post(struct loop *l, void (*fn)(void *), void *arg)
{
    (void)loop_post_try(l, fn, arg);
}

void loop_defer(void (*fn)(void *), void *arg)
{
    BUG(!here);
    calls_add(&here->deferred, fn, arg);
}

void loop_task_add(struct loop *l, struct loop_task *t)
{
    if (!list_linked(&t->node))
        list_push_back(&l->tasks, &t->node);
}

static bool tasks_run(struct loop *l)
{
    if (list_empty(&l->tasks))
        return false;
    struct list now; /* what these add waits for the next round */
    list_insert_(&now, l->tasks.prev, &l->tasks);
    list_remove(&l->tasks);
    list_init(&l->tasks);
    int64_t begin = LOOP_DEBUG ? clock_mono_us() : 0;
    for (struct list *n; (n = list_pop_front(&now));) {
        struct loop_task *t = LIST_ENTRY(n, struct loop_task, node);
        t->fn(t);
    }
    if (LOOP_DEBUG)
        loop_note(l, "socket task", begin);
    return true;
}

/* ---- a turn ---------------------------------------------------------------------------------- */

static bool work_run(struct loop *l)
{
    bool any = mail_run(l);
    if (l->deferred.n > 0) {
        calls_swap(&l->deferred, &l->deferred_taken);
        any |= calls_run(l, &l->deferred_taken);
    }
    any |= tasks_run(l);
    any |= fiber_sched_run(l);
    return any;
}

static bool work_left(struct loop *l)
{
    return atomic_load(&l->mail) || l->deferred.n > 0 || !list_empty(&l->tasks)
           || !list_empty(&l->fibers.runnable);
}

static void turn_say_slow(struct loop *l, int64_t took, int64_t now)
{
    if (now - l->logged_us < LOOP_LOG_EVERY_US)
        return;
    l->logged_us = now;
    log_say(LOG_WARN, "loop.slow_turn", "loop %u: a turn of %lld ms; longest: %s, %lld ms",
            l->index, (long long)(took / 1000), l->culprit ? l->culprit : "callback",
            (long long)((l->culprit ? l->culprit_us : took) / 1000));
}

static void turn_measure(struct loop *l)
{
    int64_t now = clock_mono_us(), took = now - l->turn_us;
    if (took > atomic_load_explicit(&l->longest_turn_us, memory_order_relaxed))
        atomic_store_explicit(&l->longest_turn_us, took, memory_order_relaxed);
    if (took >= LOOP_SLOW_TURN_US) {
        atomic_fetch_add_explicit(&l->slow_turns, 1, memory_order_relaxed);
        if (LOOP_DEBUG)
            turn_say_slow(l, took, now);
    }
    if (took >= 1000)
        uv_update_time(&l->uv); /* else the poll would sleep this much too long */
    l->culprit = NULL;
    l->culprit_us = l->culprit_begin_us = 0;
}

static bool may_leave(const struct loop *l)
{
    return l->stopping && (l->leaving || (l->handles == 0 && l->fibers.alive == 0));
}

static void on_idle(uv_idle_t *h)
{
    (void)h;
}

static void on_prepare(uv_prepare_t *h)
{
    struct loop *l = h->data;
    loop_enter(l);
    timer_heap_run(l);
    for (int round = 0; round < LOOP_ROUNDS && work_run(l); round++)
        ;
    turn_measure(l);
    timer_heap_set_alarm(l);
    if (may_leave(l))
        uv_stop(&l->uv);

    l->turn_us = 0;
    atomic_store(&l->sleeping, true);
    if (!work_left(l)) {
        uv_idle_stop(&l->idle);
        return;
    }
    atomic_store(&l->sleeping, false);
    uv_idle_start(&l->idle, on_idle);
}

static void on_async(uv_async_t *h)
{
    loop_enter(h->data); /* the prepare handle comes next and reads the mail */
}

struct loop_stats loop_stats_take(struct loop *l)
{
    return (struct loop_stats){
        .longest_turn_us = atomic_exchange_explicit(&l->longest_turn_us, 0, memory_order_relaxed),
        .slow_turns = atomic_exchange_explicit(&l->slow_turns, 0, memory_order_relaxed),
    };
}

/* ---- life ------------------------------------------------------------------------------------ */

static bool loop_open(struct loop *l, unsigned index, struct err *e)
{
    memset(l, 0, sizeof(*l));
    l->index = index;
    list_init(&l->tasks);
    int rc = uv_loop_init(&l->uv);
    if (rc != 0)
        return err_set(e, 500, "loop_open", "an event loop could not be made: %s", uv_strerror(rc));
    uv_prepare_init(&l->uv, &l->prepare);
    uv_prepare_start(&l->prepare, on_prepare);
    uv_idle_init(&l->uv, &l->idle);
    l->prepare.data = l->async.data = l;
    rc = uv_async_init(&l->uv, &l->async, on_async);
    if (rc != 0 || !poller_open(l))
        return err_set(e, 500, "loop_open", "an event loop could not be made: %s",
                       rc != 0 ? uv_strerror(rc) : strerror(errno));
    l->scratch = malloc(LOOP_SCRATCH_BYTES);
    if (!l->scratch)
        return err_set(e, 500, "loop_open", "no memory for an event loop");
    timer_heap_open(l);
    fiber_sched_open(l);
    return true;
}

bool loop_create_all(unsigned n, struct err *e)
{
    BUG(n < 1 || n > LOOP_MAX || loops_n != 0);
    signal(SIGPIPE, SIG_IGN);
    for (unsigned i = 0; i < n; i++) {
        if (!loop_open(&loops[i], i, e))
            return false;
    }
    loops_n = n;
    return true;
}

static void on_leave_timer(struct timer *t)
{
    LIST_ENTRY(t, struct loop, leave_timer)->leaving = true;
}

static void on_stop(void *arg)
{
    struct loop *l = arg;
    if (l->stopping)
        return;
    l->stopping = true;
    timer_arm(&l->leave_timer, loop_now_us() + LOOP_LEAVE_US, on_leave_timer);
}

void loop_stop_all(void)
{
    for (unsigned i = 0; i < loops_n; i++)
        loop_post(&loops[i], on_stop, &loops[i]);
}

/* What was posted last still runs; then the mailbox is shut for good. */
static void mail_shut(struct loop *l)
{
    struct loop_mail *none;
    loop_enter(l);
    do {
        while (work_left(l))
            work_run(l);
        none = NULL;
    } while (!atomic_compare_exchange_strong(&l->mail, &none, &mail_shut_mark));
    while (atomic_load(&l->posting) > 0) /* about to wake us, through the handle */
        sched_yield();
}

static void close_handle(uv_handle_t *h, void *arg)
{
    (void)arg;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

static void loop_close(struct loop *l)
{
    mail_shut(l);
    uv_walk(&l->uv, close_handle, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT); /* the prepare handle is closing: nothing of ours runs */
    uv_loop_close(&l->uv);
    poller_close(l);
    fdwatch_bury(l, INT64_MAX);
    fiber_sched_close(l);
    timer_heap_close(l);
    free(l->deferred.v);
    free(l->deferred_taken.v);
    free(l->scratch);
}

static void loop_run(struct loop *l)
{
    here = l;
    uv_run(&l->uv, UV_RUN_DEFAULT);
    loop_close(l);
    here = NULL;
}

static void *loop_thread(void *arg)
{
    struct loop *l = arg;
    char name[16];
    snprintf(name, sizeof(name), "loop-%u", l->index);
    pthread_setname_np(pthread_self(), name);
    loop_run(l);
    return NULL;
}

void loop_run_all(void)
{
    for (unsigned i = 1; i < loops_n; i++)
        BUG(pthread_create(&loops[i].thread, NULL, loop_thread, &loops[i]) != 0);
    loop_run(&loops[0]);
    for (unsigned i = 1; i < loops_n; i++)
        pthread_join(loops[i].thread, NULL);
    loops_n = 0;
}
