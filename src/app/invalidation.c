/* SPDX-License-Identifier: Apache-2.0 */
#include "app/invalidation.h"

#include "app/rekey.h"
#include "guard/emergency.h"
#include "guard/epoch.h"
#include "jobs/jobs.h"
#include "pg/pg_notify.h"

/* Payloads of basalt_cache (migrations/0009_cache.sql): "u:<user>", "s:<session>", "*", "k:", "e:". */
static void on_message(void *ctx, struct str channel, struct str payload)
{
    (void)ctx;
    if (str_is(channel, "basalt_jobs"))
        jobs_wake();
    else if (str_starts(payload, S("u:")) || str_starts(payload, S("s:")))
        epoch_bump(str_from_at(payload, 2));
    else if (str_is(payload, "e:"))
        emergency_reload();
    else if (str_is(payload, "k:"))
        rekey_reload();
    else
        epoch_bump_all();
}

static void on_reconnect(void *ctx)
{
    (void)ctx;
    epoch_bump_all();
    emergency_reload();
    rekey_reload();
    jobs_wake();
}

bool invalidation_open(const char *conninfo, struct err *e)
{
    static const char *const channels[] = {"basalt_cache", "basalt_jobs", NULL};
    struct pg_notify_config c = {
        .conninfo = conninfo,
        .channels = channels,
        .on_message = on_message,
        .on_reconnect = on_reconnect,
    };
    return pg_notify_open(&c, e);
}

void invalidation_start(void)
{
    pg_notify_start();
}

void invalidation_close(void)
{
    pg_notify_close();
}
