/* SPDX-License-Identifier: Apache-2.0 */
#include "app/background.h"

#include "auth/auth.h"
#include "base/clock.h"
#include "jobs/jobs.h"

enum { AT_ONCE = 4 }; /* handlers: mails wait for a network, the rest is short */
static const int64_t poll_us = 5 * CLOCK_S;
static const int64_t grace_us = 5 * CLOCK_S;
static const int64_t e2e_sweep_us = 5 * 60 * CLOCK_S;
static const int64_t day_us = 24 * 3600 * CLOCK_S;

/* 20 attempts, the last ones every 15 minutes: three hours, the life of no token but the patience of users. */
static void mails_register(const struct settings *s)
{
    struct jobs_policy p = {
        .attempts = 20,
        .timeout_us = 30 * CLOCK_S,
        .backoff_min_us = s->smtp_retry,
        .backoff_max_us = 15 * 60 * CLOCK_S,
    };
    if (settings_mails(s)) /* else they wait for a node that can */
        jobs_register("mail", postman_deliver, &p);
}

void background_start(const struct settings *s, struct services *services)
{
    struct jobs_config c = {.at_once = AT_ONCE, .poll_us = poll_us, .ctx = services};
    mails_register(s);
    if (s->cleanup)
        jobs_every("auth.housekeeping", s->cleanup_interval, housekeeping_run);
    if (s->e2e_testing)
        jobs_every("e2e.sweep", e2e_sweep_us, e2e_sweep_job);
    jobs_every("jobs.purge", day_us, jobs_purge);
    jobs_start(&c);
}

void background_stop(void (*done)(void *), void *ctx)
{
    jobs_stop(grace_us, done, ctx);
}
