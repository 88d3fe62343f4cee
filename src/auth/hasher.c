/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_private.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "crypto/password.h"
#include "ops/metrics.h"

/* The job owns its bytes: the request may be gone before the thread is done (invariant 5). */
struct hash_job {
    struct offload_job job;
    struct secret password;
    bool verify, unknown_form;
    char stored[PASSWORD_HASH_MAX]; /* in when verifying, out when hashing */
    bool ran, ok, stale;
    struct err err;
};

/* A stored hash that nothing here can check costs what any other does, and no password fits it. */
static bool hash_job_verify(struct hash_job *h, struct str password)
{
    if (password_verify(password, str_from(h->stored), &password_default, &h->ok, &h->stale,
                        &h->err))
        return true;
    h->unknown_form = strcmp(h->err.code, "password_hash_unknown") == 0;
    return h->unknown_form
           && password_verify(password, S(""), &password_default, &h->ok, &h->stale, &h->err);
}

static void hash_job_run(struct offload_job *job)
{
    struct hash_job *h = (struct hash_job *)(void *)job;
    struct str password = secret_reveal(&h->password);
    int64_t from = clock_mono_us();
    unsigned bcrypt = h->verify && h->stored[0] == '$' && h->stored[1] == '2';
    if (h->verify)
        h->ran = hash_job_verify(h, password);
    else
        h->ran = password_hash(password, &password_default, h->stored, &h->err);
    metrics_observe_us(METRIC_hash_duration, bcrypt, clock_mono_us() - from);
}

static void hash_job_drop(struct offload_job *job)
{
    struct hash_job *h = (struct hash_job *)(void *)job;
    secret_wipe(&h->password);
    secret_wipe_bytes(h->stored, sizeof(h->stored));
    free(h);
}

bool hasher_open(unsigned threads, struct offload_pool **out, struct err *e)
{
    /* At most what the threads finish in 3 s waits, the rest is told at once (architecture §1). */
    struct offload_config c = {
        .name = "hash",
        .threads = threads,
        .queue_max = 256,
        .nice = 10,
        .idle = password_release_memory,
        .idle_ms = 1000,
        .max_wait_us = 3 * CLOCK_S,
    };
    return offload_open(&c, out, e);
}

void hasher_close(struct offload_pool *p)
{
    offload_close(p, 1000);
}

static bool refused(struct err *e)
{
    if (e->status != 429)
        return false;
    metrics_add(METRIC_hash_refused, 0, 1);
    e->code = "over_request_rate_limit"; /* the one 429 of such a request that clients know */
    return false;
}

bool hasher_place(struct req *req, struct offload_place *out, struct err *e)
{
    return offload_place_take(auth_of(req)->hasher, out, e) || refused(e);
}

static bool hash_job_wait(struct req *req, struct offload_place *place, struct hash_job *h,
                          struct err *e)
{
    int64_t from = clock_mono_us();
    bool ran = offload_run_at(auth_of(req)->hasher, place, &h->job, e);
    req->hash_us += clock_mono_us() - from;
    return ran || refused(e);
}

static struct hash_job *hash_job_new(struct str password, bool verify)
{
    struct hash_job *h = calloc(1, sizeof(*h));
    BUG(!h);
    h->job.run = hash_job_run;
    h->job.drop = hash_job_drop;
    h->password = secret_copy(password);
    h->verify = verify;
    return h;
}

bool hasher_make(struct req *req, struct str password, struct str *out, struct err *e)
{
    struct hash_job *h = hash_job_new(password, false);
    if (!hash_job_wait(req, &(struct offload_place){0}, h, e))
        return false;
    bool ok = h->ran;
    if (ok)
        *out = arena_str(req->arena, str_from(h->stored));
    else
        *e = h->err;
    hash_job_drop(&h->job);
    return ok;
}

bool hasher_check(struct req *req, struct offload_place *place, struct str password,
                  struct str stored, bool *ok, bool *stale, struct err *e)
{
    struct hash_job *h = hash_job_new(password, true);
    if (stored.n < PASSWORD_HASH_MAX && stored.n)
        memcpy(h->stored, stored.p, stored.n);
    h->unknown_form = stored.n >= PASSWORD_HASH_MAX;
    if (!hash_job_wait(req, place, h, e))
        return false;
    bool ran = h->ran;
    if (ran) {
        *ok = h->ok;
        *stale = h->stale;
    } else {
        *e = h->err;
    }
    if (ran && h->unknown_form)
        log_say(
            LOG_WARN, "password_hash_unknown",
            "a stored password hash has a form that cannot be checked: its user has to set a new password (request %s)",
            req->id);
    hash_job_drop(&h->job);
    return ran;
}
