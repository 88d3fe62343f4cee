/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/breaker.h"

#include <stdatomic.h>

#include "base/clock.h"
#include "base/log.h"
#include "ops/metrics.h"

struct breaker {
    const char *name;
    int limit;
    int64_t open_us;
    atomic_int failures;       /* in a row */
    _Atomic int64_t closed_at; /* monotonic µs from which a probe may pass; 0: closed */
    atomic_bool probing;       /* of the probe that moved closed_at last */
};

static struct breaker breakers[BREAKER_COUNT] = {
#define X(id, failures_, open_s) \
    [BREAKER_##id] = {.name = #id, .limit = (failures_), .open_us = (open_s)*CLOCK_S},
#include "ops/breaker.def"
#undef X
};

struct breaker *breaker_named(enum breaker_id id)
{
    BUG((unsigned)id >= BREAKER_COUNT);
    return &breakers[id];
}

const char *breaker_name(const struct breaker *b)
{
    return b->name;
}

static unsigned label_of(const struct breaker *b)
{
    return (unsigned)(b - breakers);
}

bool breaker_allow(struct breaker *b)
{
    int64_t until = atomic_load(&b->closed_at), now = clock_mono_us();
    if (until == 0)
        return true;
    /* who moves the time on is the probe; the others wait for what it finds */
    if (now >= until && atomic_compare_exchange_strong(&b->closed_at, &until, now + b->open_us)) {
        atomic_store(&b->probing, true);
        return true;
    }
    metrics_add(METRIC_breaker_refused, label_of(b), 1);
    return false;
}

static void breaker_close(struct breaker *b)
{
    atomic_store(&b->failures, 0);
    atomic_store(&b->probing, false);
    if (atomic_exchange(&b->closed_at, 0) != 0)
        log_say(LOG_INFO, "breaker.closed", "%s answers again", b->name);
}

void breaker_report(struct breaker *b, bool ok)
{
    if (ok) {
        breaker_close(b);
        return;
    }
    int failures = atomic_fetch_add(&b->failures, 1) + 1;
    bool probe = atomic_exchange(&b->probing, false);
    if (failures < b->limit && !probe)
        return;
    if (atomic_exchange(&b->closed_at, clock_mono_us() + b->open_us) != 0)
        return;
    metrics_add(METRIC_breaker_opened, label_of(b), 1);
    log_say(LOG_WARN, "breaker.opened", "%s has failed %d times in a row: not called for %lld s",
            b->name, failures, (long long)(b->open_us / CLOCK_S));
}

bool breaker_check(struct breaker *b, struct err *e)
{
    if (!b || breaker_allow(b))
        return true;
    err_set(e, 503, "upstream_breaker_open", "A service that is needed for this does not answer");
    err_detail(e, "%s has failed too often and is not called for now", b->name);
    e->retry_after_s = (int)(b->open_us / CLOCK_S);
    return false;
}

enum breaker_state breaker_state(const struct breaker *b)
{
    int64_t until = atomic_load(&b->closed_at);
    if (until == 0)
        return BREAKER_CLOSED;
    return atomic_load(&b->probing) || clock_mono_us() >= until ? BREAKER_HALF_OPEN : BREAKER_OPEN;
}

static int64_t state_shown(void *ctx)
{
    return breaker_state(ctx);
}

void breaker_register(void)
{
    for (unsigned i = 0; i < BREAKER_COUNT; i++)
        metrics_gauge_fn(METRIC_breaker_state, i, state_shown, &breakers[i]);
}
