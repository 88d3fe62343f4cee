/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/offload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "runtime/loop_impl.h"

/*
 * Who touches what: `next` belongs to the pool's lock; `waiter` and `state` to the home loop;
 * `home` is set before the job is queued. A thread gives a job back by posting it home, where it
 * is found either with its fiber or abandoned, so that a late fiber and a finishing thread cannot
 * race.
 */
enum { JOB_WAITING, JOB_RAN, JOB_LOST };

struct offload_thread {
    pthread_t id;
    struct offload_pool *pool;
    unsigned index;
};

struct offload_pool {
    struct offload_config config;
    pthread_mutex_t lock;
    pthread_cond_t work;     /* a job was queued, or closing */
    pthread_cond_t finished; /* a job ended while closing */
    struct offload_job *head, **tail;
    unsigned queued, busy, started;
    unsigned placed; /* places taken, their jobs still to come */
    uint64_t done, refused;
    int64_t mean_us; /* 0: unknown yet */
    bool closing;
    struct offload_thread threads[];
};

/* ---- threads --------------------------------------------------------------------------------- */

static void job_home(void *arg)
{
    struct offload_job *job = arg;
    job->state = JOB_RAN;
    if (job->waiter)
        fiber_wake(job->waiter);
    else
        job->drop(job);
}

static void job_home_lost(void *arg)
{
    struct offload_job *job = arg;
    job->state = JOB_LOST;
    if (job->waiter)
        fiber_wake(job->waiter);
    else
        job->drop(job);
}

static void job_send_home(struct offload_job *job, void (*fn)(void *))
{
    struct loop *home = job->home;
    if (!home || !loop_post_try(home, fn, job))
        job->drop(job); /* detached, or its loop has ended and nobody waits */
}

static struct offload_job *queue_pop(struct offload_pool *p)
{
    struct offload_job *job = p->head;
    if (!job)
        return NULL;
    p->head = job->next;
    if (!p->head)
        p->tail = &p->head;
    p->queued--;
    return job;
}

/* Sleeps until there may be work; calls config.idle once when idle_ms have passed without any. */
static void thread_wait(struct offload_pool *p, bool *idle_told)
{
    if (!p->config.idle || *idle_told) {
        pthread_cond_wait(&p->work, &p->lock);
        return;
    }
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    int64_t ns = at.tv_nsec + (int64_t)p->config.idle_ms * 1000000;
    at.tv_sec += ns / 1000000000;
    at.tv_nsec = ns % 1000000000;
    if (pthread_cond_timedwait(&p->work, &p->lock, &at) != ETIMEDOUT)
        return;
    *idle_told = true;
    pthread_mutex_unlock(&p->lock);
    p->config.idle();
    pthread_mutex_lock(&p->lock);
}

/* Called and returns with the lock held. */
static void thread_run_job(struct offload_pool *p, struct offload_job *job)
{
    p->busy++;
    pthread_mutex_unlock(&p->lock);
    int64_t begin = clock_mono_us();
    job->run(job);
    int64_t took = clock_mono_us() - begin;
    pthread_mutex_lock(&p->lock);
    p->busy--;
    p->done++;
    p->mean_us = p->mean_us == 0 ? took + (took == 0) : p->mean_us + (took - p->mean_us) / 8;
    if (p->closing)
        pthread_cond_signal(&p->finished);
    pthread_mutex_unlock(&p->lock); /* counted first: whoever hears of it finds its thread free */
    job_send_home(job, job_home);
    pthread_mutex_lock(&p->lock);
}

static void *thread_main(void *arg)
{
    struct offload_thread *t = arg;
    struct offload_pool *p = t->pool;
    char name[16];
    snprintf(name, sizeof(name), "%.11s-%u", p->config.name, t->index);
    pthread_setname_np(pthread_self(), name);
    id_t tid = (id_t)gettid(); /* on Linux nice values are a thread's own */
    if (p->config.nice > 0)
        setpriority(PRIO_PROCESS, tid, getpriority(PRIO_PROCESS, tid) + p->config.nice);

    pthread_mutex_lock(&p->lock);
    for (bool idle_told = true;;) { /* true: nothing to release before the first job */
        struct offload_job *job = queue_pop(p);
        if (job) {
            thread_run_job(p, job);
            idle_told = false;
        } else if (p->closing) {
            break;
        } else {
            thread_wait(p, &idle_told);
        }
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* ---- queueing -------------------------------------------------------------------------------- */

/* Expected microseconds until a job queued now would begin; 0 when a thread is free. */
static int64_t queue_wait_us(const struct offload_pool *p)
{
    if (p->busy + p->queued + p->placed < p->config.threads)
        return 0;
    return (int64_t)(p->queued + p->placed + 1) * p->mean_us / p->config.threads;
}

/* Under the lock. *wait_us is what a job queued now would wait. */
static bool queue_has_room(const struct offload_pool *p, int64_t *wait_us)
{
    *wait_us = queue_wait_us(p);
    /* jobs that free threads are about to take do not wait, so they do not fill the queue */
    bool full = p->busy + p->queued + p->placed >= p->config.threads + p->config.queue_max;
    bool long_wait = p->config.max_wait_us > 0 && *wait_us > p->config.max_wait_us;
    return !full && !long_wait && !p->closing;
}

/* Refuses without waiting for anything but the lock. *wait_us is set when it refuses. */
static bool queue_push(struct offload_pool *p, bool placed, struct offload_job *job,
                       int64_t *wait_us)
{
    job->next = NULL;
    job->queued_us = clock_mono_us();
    pthread_mutex_lock(&p->lock);
    p->placed -= placed;
    bool ok = queue_has_room(p, wait_us) || (placed && !p->closing);
    if (ok) {
        *p->tail = job;
        p->tail = &job->next;
        p->queued++;
    } else {
        p->refused++;
    }
    pthread_mutex_unlock(&p->lock);
    if (ok)
        pthread_cond_signal(&p->work); /* after unlocking: the thread need not wait for us */
    return ok;
}

/* Takes a job that no thread has begun off the queue; false when one has. */
static bool queue_remove(struct offload_pool *p, struct offload_job *job)
{
    bool found = false;
    pthread_mutex_lock(&p->lock);
    for (struct offload_job **at = &p->head; *at; at = &(*at)->next) {
        if (*at != job)
            continue;
        *at = job->next;
        if (!job->next)
            p->tail = at;
        p->queued--;
        found = true;
        break;
    }
    pthread_mutex_unlock(&p->lock);
    return found;
}

static bool refused(int64_t wait_us, struct err *e)
{
    err_set(e, 429, "over_capacity", "too many requests at the moment, try again shortly");
    e->retry_after_s = (int)(wait_us / CLOCK_S) + 1;
    return false;
}

static bool job_refused(struct offload_job *job, int64_t wait_us, struct err *e)
{
    job->drop(job);
    return refused(wait_us, e);
}

bool offload_place_take(struct offload_pool *p, struct offload_place *out, struct err *e)
{
    int64_t wait_us;
    pthread_mutex_lock(&p->lock);
    bool ok = queue_has_room(p, &wait_us);
    p->placed += ok;
    p->refused += !ok;
    pthread_mutex_unlock(&p->lock);
    if (!ok)
        return refused(wait_us, e);
    out->pool = p;
    return true;
}

void offload_place_drop(struct offload_place *place)
{
    struct offload_pool *p = place->pool;
    place->pool = NULL;
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->placed--;
    pthread_mutex_unlock(&p->lock);
}

bool offload_run(struct offload_pool *p, struct offload_job *job, struct err *e)
{
    return offload_run_at(p, &(struct offload_place){0}, job, e);
}

bool offload_run_at(struct offload_pool *p, struct offload_place *place, struct offload_job *job,
                    struct err *e)
{
    job->waiter = fiber_current();
    BUG(!job->waiter || (place->pool && place->pool != p));
    job->home = loop_current();
    job->state = JOB_WAITING;
    int64_t wait_us;
    bool placed = place->pool != NULL;
    place->pool = NULL;
    if (!queue_push(p, placed, job, &wait_us))
        return job_refused(job, wait_us, e);
    while (job->state == JOB_WAITING) {
        enum fiber_result r = fiber_park(FIBER_NEVER);
        if (r == FIBER_WOKEN || job->state != JOB_WAITING)
            continue;
        job->waiter = NULL; /* job_home drops it, unless no thread has it yet */
        if (queue_remove(p, job))
            job->drop(job);
        return fiber_fail(r, e);
    }
    job->waiter = NULL;
    return job->state == JOB_RAN || job_refused(job, 0, e);
}

bool offload_detach(struct offload_pool *p, struct offload_job *job)
{
    int64_t wait_us;
    job->waiter = NULL;
    job->home = NULL;
    return queue_push(p, false, job, &wait_us);
}

struct offload_stats offload_stats(struct offload_pool *p)
{
    pthread_mutex_lock(&p->lock);
    struct offload_stats s = {
        .threads = p->config.threads,
        .busy = p->busy,
        .queued = p->queued,
        .done = p->done,
        .refused = p->refused,
        .mean_us = p->mean_us,
    };
    pthread_mutex_unlock(&p->lock);
    return s;
}

/* ---- life ------------------------------------------------------------------------------------ */

bool offload_open(const struct offload_config *c, struct offload_pool **out, struct err *e)
{
    BUG(c->threads < 1);
    struct offload_pool *p = calloc(1, sizeof(*p) + c->threads * sizeof(p->threads[0]));
    if (!p)
        return err_set(e, 500, "offload_open", "no memory for thread pool %s", c->name);
    p->config = *c;
    p->tail = &p->head;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&p->work, &monotonic);
    pthread_cond_init(&p->finished, &monotonic);
    pthread_condattr_destroy(&monotonic);
    for (; p->started < c->threads; p->started++) {
        struct offload_thread *t = &p->threads[p->started];
        *t = (struct offload_thread){.pool = p, .index = p->started};
        int rc = pthread_create(&t->id, NULL, thread_main, t);
        if (rc == 0)
            continue;
        offload_close(p, 0);
        err_set(e, 500, "offload_open", "a thread of pool %s could not be started", c->name);
        return err_detail(e, "pthread_create: %s", strerror(rc));
    }
    *out = p;
    return true;
}

/* Returns with the queue empty: all begun, or the time is over and the rest is given back. */
static void queue_drain(struct offload_pool *p, int timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (p->queued > 0 && timeout_ms > 0) {
        if (pthread_cond_timedwait(&p->finished, &p->lock, &until) == ETIMEDOUT)
            break;
    }
    for (struct offload_job *job; (job = queue_pop(p));)
        job_send_home(job, job_home_lost);
}

void offload_close(struct offload_pool *p, int timeout_ms)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    pthread_cond_broadcast(&p->work);
    queue_drain(p, timeout_ms);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->started; i++)
        pthread_join(p->threads[i].id, NULL);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->finished);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
