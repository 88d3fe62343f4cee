/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/fiber.h"

#include "base/clock.h"
#include "runtime/fiber_stack.h"
#include "runtime/loop_impl.h"

#if SANITIZE_ADDRESS
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#if SANITIZE_THREAD
#include <sanitizer/tsan_interface.h>
#endif

enum {
    FIBER_SWEEP_US = 1000 * 1000, /* how soon stacks that are not needed go back to the kernel */
    FIBER_POOL_FLOOR = 4,         /* stacks that an idle loop keeps: at most 128 KiB together */
    FIBER_POOL_MAX = 1024,        /* beyond it a stack is unmapped as soon as its fiber ends */
};

enum fiber_state {
    FIBER_NEW,      /* in the run queue, has not begun */
    FIBER_RUNNABLE, /* in the run queue */
    FIBER_RUNNING,
    FIBER_PARKED,
    FIBER_ENDED, /* in the pool */
};

/* Lives at the high end of its own stack, so that a parked fiber touches as few pages as can be. */
struct fiber {
    struct fiber_switch context;
    struct loop *loop;
    struct list node; /* runnable or pooled */
    struct list all_node;
    struct list queue_node; /* in a fiber_queue */
    struct timer timer;     /* stays armed when the fiber is woken early, see fiber_on_timer */
    int64_t deadline_us, until_us;
    void (*fn)(void *);
    void *arg;
    const char *name;
    enum fiber_state state;
    bool woken, cancelled;
    void *stack;
    void *asan_fake;
    void *tsan;
};

/* ---- what the sanitizers must be told around a switch ---------------------------------------- */

static void asan_leave(void **fake, const void *bottom, size_t size)
{
#if SANITIZE_ADDRESS
    __sanitizer_start_switch_fiber(fake, bottom, size);
#else
    (void)fake, (void)bottom, (void)size;
#endif
}

static void asan_arrive(void *fake, const void **from_bottom, size_t *from_size)
{
#if SANITIZE_ADDRESS
    __sanitizer_finish_switch_fiber(fake, from_bottom, from_size);
#else
    (void)fake, (void)from_bottom, (void)from_size;
#endif
}

/* A macro: TSan's own record of calls must not see a frame of ours that returns elsewhere. */
#if SANITIZE_THREAD
#define TSAN_SWITCH(to) __tsan_switch_to_fiber((to), 0)
#define TSAN_BEGIN(f)   ((f)->tsan = __tsan_create_fiber(0))
#define TSAN_END(f)     __tsan_destroy_fiber((f)->tsan)
#define TSAN_CURRENT()  __tsan_get_current_fiber()
#else
#define TSAN_SWITCH(to) (void)0
#define TSAN_BEGIN(f)   (void)0
#define TSAN_END(f)     (void)0
#define TSAN_CURRENT()  NULL
#endif

/* ---- switching ------------------------------------------------------------------------------- */

/* From the loop into f, until it parks or ends. */
static void fiber_enter(struct loop *l, struct fiber *f)
{
    struct fiber_sched *s = &l->fibers;
    s->current = f;
    f->state = FIBER_RUNNING;
    s->tsan = TSAN_CURRENT();
    asan_leave(&s->asan_fake, f->stack, FIBER_STACK_BYTES);
    TSAN_SWITCH(f->tsan);
    fiber_switch_swap(&s->main, &f->context);
    asan_arrive(s->asan_fake, NULL, NULL);
    s->current = NULL;
}

/* From f back to the loop; returns when somebody resumes f. */
static void fiber_leave(struct fiber *f)
{
    struct fiber_sched *s = &f->loop->fibers;
    asan_leave(f->state == FIBER_ENDED ? NULL : &f->asan_fake, s->asan_bottom, s->asan_size);
    TSAN_SWITCH(s->tsan);
    fiber_switch_swap(&f->context, &s->main);
    asan_arrive(f->asan_fake, &s->asan_bottom, &s->asan_size);
}

static void fiber_main(void *arg)
{
    struct fiber *f = arg;
    asan_arrive(NULL, &f->loop->fibers.asan_bottom, &f->loop->fibers.asan_size);
    f->fn(f->arg);
    f->state = FIBER_ENDED;
    fiber_leave(f);
    BUG(f);
}

/* ---- stacks ---------------------------------------------------------------------------------- */

static struct fiber *fiber_make(struct loop *l)
{
    void *stack = fiber_stack_map();
    if (!stack) /* out of memory or of mappings (vm.max_map_count) */
        return NULL;
    size_t room = (sizeof(struct fiber) + 63) & ~(size_t)63;
    struct fiber *f = (struct fiber *)((char *)stack + FIBER_STACK_BYTES - room);
    f->stack = stack; /* the rest is zero as it comes from the kernel */
    f->loop = l;
    list_push_back(&l->fibers.all, &f->all_node);
    return f;
}

static void fiber_unmake(struct fiber *f)
{
    timer_disarm(&f->timer);
    list_remove(&f->all_node);
    fiber_stack_unmap(f->stack);
}

static struct fiber *pool_take(struct loop *l)
{
    struct fiber_sched *s = &l->fibers;
    struct list *n = list_pop_front(&s->pooled);
    if (!n)
        return fiber_make(l);
    if (--s->pooled_count < s->pooled_least)
        s->pooled_least = s->pooled_count;
    return LIST_ENTRY(n, struct fiber, node);
}

static void pool_drop_last(struct fiber_sched *s)
{
    struct list *n = s->pooled.prev;
    list_remove(n);
    s->pooled_count--;
    fiber_unmake(LIST_ENTRY(n, struct fiber, node));
}

/*
 * Once a second while fibers come and go: stacks that no one needed in that second are unmapped,
 * and the deep pages of the others given back. So the usual case, a shallow request, pays nothing
 * for either, and an idle loop has no sweeps.
 */
static void pool_sweep(struct timer *t)
{
    struct loop *l = LIST_ENTRY(t, struct loop, fibers.sweep);
    struct fiber_sched *s = &l->fibers;
    bool used = s->pooled_used > 0;
    for (unsigned n = s->pooled_least; n > 0 && s->pooled_count > FIBER_POOL_FLOOR; n--)
        pool_drop_last(s);
    if (used) {
        LIST_EACH(n, &s->pooled)
        fiber_stack_trim(LIST_ENTRY(n, struct fiber, node)->stack);
    }
    s->pooled_used = 0;
    s->pooled_least = s->pooled_count;
    if (used || s->pooled_count > FIBER_POOL_FLOOR)
        timer_arm(t, loop_now_us() + FIBER_SWEEP_US, pool_sweep);
}

static void pool_give(struct loop *l, struct fiber *f)
{
    struct fiber_sched *s = &l->fibers;
    s->alive--;
    TSAN_END(f);
    if (s->pooled_count >= FIBER_POOL_MAX) {
        fiber_unmake(f);
        return;
    }
    list_push_front(&s->pooled, &f->node); /* the warmest stack is taken first */
    s->pooled_count++;
    s->pooled_used++;
    if (!timer_armed(&s->sweep))
        timer_arm(&s->sweep, loop_now_us() + FIBER_SWEEP_US, pool_sweep);
}

/* ---- running --------------------------------------------------------------------------------- */

static void fiber_run(struct loop *l, struct fiber *f)
{
    int64_t begin = LOOP_DEBUG ? clock_mono_us() : 0;
    fiber_enter(l, f);
    if (LOOP_DEBUG)
        loop_note(l, f->name, begin);
    if (f->state == FIBER_ENDED)
        pool_give(l, f);
}

void fiber_start_named(void (*fn)(void *), void *arg, const char *name)
{
    BUG(!fiber_try_start_named(fn, arg, name));
}

bool fiber_try_start_named(void (*fn)(void *), void *arg, const char *name)
{
    struct loop *l = loop_current();
    BUG(!l);
    struct fiber *f = pool_take(l);
    if (!f)
        return false;
    f->fn = fn;
    f->arg = arg;
    f->name = name;
    f->deadline_us = f->until_us = FIBER_NEVER;
    f->woken = f->cancelled = false;
    l->fibers.alive++;
    TSAN_BEGIN(f);
    fiber_switch_init(&f->context, f->stack, (size_t)((char *)f - (char *)f->stack), fiber_main, f);
    if (!l->fibers.current) {
        fiber_run(l, f);
        return true;
    }
    f->state = FIBER_NEW;
    list_push_back(&l->fibers.runnable, &f->node);
    return true;
}

bool fiber_sched_run(struct loop *l)
{
    struct list *queue = &l->fibers.runnable;
    if (list_empty(queue))
        return false;
    struct list now; /* who becomes runnable meanwhile waits for the next round */
    list_insert_(&now, queue->prev, queue);
    list_remove(queue);
    list_init(queue);
    for (struct list *n; (n = list_pop_front(&now));)
        fiber_run(l, LIST_ENTRY(n, struct fiber, node));
    return true;
}

static void fiber_make_runnable(struct fiber *f)
{
    f->state = FIBER_RUNNABLE;
    list_push_back(&f->loop->fibers.runnable, &f->node);
}

struct fiber *fiber_current(void)
{
    struct loop *l = loop_current();
    return l ? l->fibers.current : NULL;
}

static struct fiber *fiber_self(void)
{
    struct fiber *f = fiber_current();
    BUG(!f); /* waiting is for fibers */
    return f;
}

/* ---- waiting --------------------------------------------------------------------------------- */

/*
 * The timer is left armed when a fiber is woken early, and even when it ends: most waits are short
 * and most deadlines far, so one arming serves many waits. What comes too early is moved on here.
 */
static void fiber_on_timer(struct timer *t)
{
    struct fiber *f = LIST_ENTRY(t, struct fiber, timer);
    if (f->state != FIBER_PARKED || f->until_us == FIBER_NEVER)
        return;
    if (f->until_us <= loop_now_us())
        fiber_make_runnable(f);
    else
        timer_arm(t, f->until_us, fiber_on_timer);
}

enum fiber_result fiber_park(int64_t until_us)
{
    struct fiber *f = fiber_self();
    int64_t until = until_us < f->deadline_us ? until_us : f->deadline_us;
    if (!f->woken && !f->cancelled && (until == FIBER_NEVER || loop_now_us() < until)) {
        f->until_us = until;
        if (until != FIBER_NEVER && (!timer_armed(&f->timer) || f->timer.at_us > until))
            timer_arm(&f->timer, until, fiber_on_timer);
        f->state = FIBER_PARKED;
        fiber_leave(f);
    }
    if (f->cancelled)
        return FIBER_GONE;
    bool woken = f->woken;
    f->woken = false;
    return woken ? FIBER_WOKEN : FIBER_LATE;
}

void fiber_yield(void)
{
    struct fiber *f = fiber_self();
    fiber_make_runnable(f);
    fiber_leave(f);
}

void fiber_wake(struct fiber *f)
{
    BUG(f->loop != loop_current());
    f->woken = true;
    if (f->state == FIBER_PARKED)
        fiber_make_runnable(f);
}

void fiber_cancel(struct fiber *f)
{
    BUG(f->loop != loop_current());
    f->cancelled = true;
    if (f->state == FIBER_PARKED)
        fiber_make_runnable(f);
}

void fiber_uncancel(void)
{
    fiber_self()->cancelled = false;
}

bool fiber_cancelled(void)
{
    return fiber_self()->cancelled;
}

void fiber_set_deadline(int64_t mono_us)
{
    fiber_self()->deadline_us = mono_us;
}

int64_t fiber_deadline(void)
{
    return fiber_self()->deadline_us;
}

int64_t fiber_time_left_us(void)
{
    int64_t deadline = fiber_self()->deadline_us;
    if (deadline == FIBER_NEVER)
        return FIBER_NEVER;
    int64_t left = deadline - loop_now_us();
    return left > 0 ? left : 0;
}

enum fiber_result fiber_sleep(int64_t us)
{
    int64_t until = clock_mono_us() + us; /* not the turn's beginning: never shorter than asked */
    enum fiber_result r;
    do
        r = fiber_park(until);
    while (r == FIBER_WOKEN);
    return r;
}

bool fiber_fail(enum fiber_result r, struct err *e)
{
    BUG(r == FIBER_WOKEN);
    if (r == FIBER_GONE)
        return err_set(e, 499, "client_gone", "the client has closed the connection");
    return err_set(e, 504, "request_timeout", "the request took too long");
}

/* ---- queues ---------------------------------------------------------------------------------- */

void fiber_queue_init(struct fiber_queue *q)
{
    list_init(&q->waiters);
    q->length = 0;
}

enum fiber_result fiber_queue_wait(struct fiber_queue *q, int64_t until_us)
{
    struct fiber *f = fiber_self();
    list_push_back(&q->waiters, &f->queue_node);
    q->length++;
    for (;;) {
        enum fiber_result r = fiber_park(until_us);
        if (!list_linked(&f->queue_node))
            return FIBER_WOKEN; /* even if late or cancelled: what it was given must not be lost */
        if (r == FIBER_WOKEN)
            continue;
        list_remove(&f->queue_node);
        q->length--;
        return r;
    }
}

bool fiber_queue_wake_one(struct fiber_queue *q)
{
    struct list *n = list_pop_front(&q->waiters);
    if (!n)
        return false;
    q->length--;
    fiber_wake(LIST_ENTRY(n, struct fiber, queue_node));
    return true;
}

/* ---- life ------------------------------------------------------------------------------------ */

struct fiber_stats fiber_stats(void)
{
    struct loop *l = loop_current();
    BUG(!l);
    return (struct fiber_stats){.running = l->fibers.alive,
                                .pooled_stacks = l->fibers.pooled_count};
}

void fiber_sched_open(struct loop *l)
{
    list_init(&l->fibers.runnable);
    list_init(&l->fibers.pooled);
    list_init(&l->fibers.all);
}

/* Fibers that still wait are abandoned with their stacks: the process is about to end. */
void fiber_sched_close(struct loop *l)
{
    while (l->fibers.pooled_count > 0)
        pool_drop_last(&l->fibers);
#if SANITIZE_ADDRESS /* what they hold is not a leak */
    LIST_EACH(n, &l->fibers.all)
    __lsan_register_root_region(LIST_ENTRY(n, struct fiber, all_node)->stack, FIBER_STACK_BYTES);
#endif
}
