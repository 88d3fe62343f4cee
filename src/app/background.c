/* SPDX-License-Identifier: Apache-2.0 */
#include "app/background.h"

#include "auth/auth.h"
#include "base/clock.h"
#include "jobs/jobs.h"

enum { AT_ONCE = 4 }; /* handlers: mails wait for a network, the rest is short */
static const int64_t poll_us = 5 * CLOCK_S;
static const int64_t grace_us = 5 * CLOCK_S;
static const int64_t day_us = 24 * 3600 * CLOCK_S;

void background_start(const struct settings *s, struct services *services)
{
    struct jobs_config c = {.at_once = AT_ONCE, .poll_us = poll_us, .ctx = services};
    if (s->cleanup)
        jobs_every("auth.housekeeping", s->cleanup_interval, housekeeping_run);
    jobs_every("jobs.purge", day_us, jobs_purge);
    jobs_start(&c);
}

void background_stop(void (*done)(void *), void *ctx)
{
    jobs_stop(grace_us, done, ctx);
}
