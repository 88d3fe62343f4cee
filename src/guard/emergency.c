/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/emergency.h"

#include <stdatomic.h>

#include "base/clock.h"
#include "base/log.h"
#include "guard/guard_sql.h"
#include "guard/principal.h"
#include "pg/pg_tx.h"
#include "runtime/fiber.h"

enum { READ_US = 5 * CLOCK_S, AGAIN_US = CLOCK_S, LATER_S = 30 };

static _Atomic int mode;
static bool reading, read_again; /* loop 0's */

static const char *const words[] = {
    [EMERGENCY_OFF] = "off", [EMERGENCY_READ_ONLY] = "read-only", [EMERGENCY_LOCKED] = "locked"};

bool emergency_parse(struct str word, enum emergency_mode *out)
{
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (str_is(word, words[i])) {
            *out = i;
            return true;
        }
    return false;
}

void emergency_set(enum emergency_mode now)
{
    if (atomic_exchange(&mode, (int)now) != (int)now)
        log_say(LOG_WARN, "emergency", "the emergency mode is now %s", words[now]);
}

enum emergency_mode emergency_now(void)
{
    return (enum emergency_mode)atomic_load_explicit(&mode, memory_order_relaxed);
}

/* ---- hearing of it ------------------------------------------------------------------------------ */

/* A word that we do not know was written by a newer node or by hand: the strictest meaning. */
static bool read_mode(struct arena *a, struct err *e)
{
    struct pg_client client = {.arena = a};
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, &client, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &emergency_read_sql, NULL, 0);
    if (!pg_tx_commit(&tx, e))
        return false;
    struct str word = pg_row_str(pg_tx_result(&tx, 0), 0, EMERGENCY_READ_MODE);
    enum emergency_mode now = EMERGENCY_LOCKED;
    if (!word.p)
        now = EMERGENCY_OFF;
    else
        (void)emergency_parse(word, &now);
    emergency_set(now);
    return true;
}

static void reload(void *arg)
{
    (void)arg;
    struct arena a;
    arena_init(&a, SIZE_MAX);
    for (bool ok = false; !ok || read_again;) {
        struct err e = {0};
        read_again = false;
        fiber_set_deadline(clock_mono_us() + READ_US);
        ok = read_mode(&a, &e);
        fiber_set_deadline(FIBER_NEVER);
        arena_reset(&a);
        if (!ok && fiber_sleep(AGAIN_US) == FIBER_GONE)
            break;
    }
    arena_close(&a);
    reading = false;
}

void emergency_reload(void)
{
    read_again = true;
    if (!reading) {
        reading = true;
        fiber_start(reload, NULL);
    }
}

/* ---- checking ------------------------------------------------------------------------------------ */

static bool writes(const struct req *req)
{
    bool safe = req->method == METHOD_GET || req->method == METHOD_HEAD;
    /* a link that is opened confirms, and a mail that is asked for is a row */
    return !safe || req->route->limit == LIMIT_VERIFY || req->route->limit == LIMIT_MAIL;
}

static bool database_gone(struct err *e)
{
    if (pg_pool_ready(e))
        return false;
    struct pg_pool_stats st = pg_pool_stats();
    if (st.in_use + st.idle == 0)
        return true;
    err_clear(e);
    return false;
}

bool emergency_check(const struct req *req, struct err *e)
{
    enum emergency_mode now = emergency_now();
    bool writing = writes(req);
    if (now == EMERGENCY_OFF)
        return !writing || req->route->access == ACCESS_ADMIN_PORT || !database_gone(e);
    if ((req->route->flags & ROUTE_IN_EMERGENCY) || req->route->access == ACCESS_ADMIN_PORT)
        return true;
    if (now == EMERGENCY_LOCKED && req->principal->key != PRINCIPAL_KEY_SERVICE)
        err_set(e, 503, "emergency_locked", "The service is closed for the moment");
    else if (writing && now == EMERGENCY_READ_ONLY)
        err_set(e, 503, "emergency_read_only", "The service is read-only for the moment");
    else
        return true;
    e->retry_after_s = LATER_S;
    return false;
}
