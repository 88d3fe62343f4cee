/* SPDX-License-Identifier: Apache-2.0 */
#include "app/rekey.h"

#include <stdlib.h>

#include "app/keyring.h"
#include "audit/audit.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "guard/access.h"
#include "pg/pg_notify.h"
#include "runtime/loop.h"
#include "runtime/offload.h"
#include "runtime/timer.h"

enum {
    CONNECT_MS = 5000,
    AGAIN_US = CLOCK_S,
    LOOK_US = CLOCK_S,         /* how soon a grant that was missed is known */
    ROLES_US = 60 * CLOCK_S,   /* how long a role that was taken away is still believed in: PostgreSQL refuses it */
};

static struct {
    const struct settings *settings;
    const struct secrets *secrets;
    const struct database *db;
    struct guard *guard;
    struct offload_pool *reader;
    struct timer timer;
    int64_t read_us;
    bool reading, read_again, stopping;
} self; /* loop 0's */

/* ---- on the thread ---- */

struct reading {
    struct offload_job job;
    const char *conninfo;
    struct arena memory;
    struct str keys, publishable, secret, roles; /* absent: there is none */
    bool ok;
    struct err e;
};

static void reading_drop(struct offload_job *j)
{
    struct reading *r = (struct reading *)(void *)j;
    arena_close(&r->memory);
    free(r);
}

static void take(struct reading *r, struct str name, struct str value)
{
    const struct {
        const char *name;
        struct str *to;
    } wanted[] = {{"JWT_KEYS", &r->keys},
                  {"PUBLISHABLE_KEY", &r->publishable},
                  {"SECRET_KEY", &r->secret}};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        if (str_is(name, wanted[i].name))
            *wanted[i].to = arena_str(&r->memory, value);
}

static bool read_keys(struct reading *r, struct pg_now *c, struct err *e)
{
    struct pg_result *rows = NULL;
    if (!pg_now_query(c,
                      "select name, value from basalt.secret"
                      " where name in ('JWT_KEYS', 'PUBLISHABLE_KEY', 'SECRET_KEY')",
                      NULL, 0, &rows, e))
        return false;
    for (size_t i = 0; i < pg_row_count(rows); i++)
        take(r, pg_row_str(rows, i, 0), pg_row_str(rows, i, 1));
    pg_now_free(&rows);
    return true;
}

static void reading_run(struct offload_job *j)
{
    struct reading *r = (struct reading *)(void *)j;
    CLEANUP(pg_now_close) struct pg_now *c = NULL;
    r->ok = pg_now_open(r->conninfo, CONNECT_MS, &c, &r->e) && read_keys(r, c, &r->e)
            && database_roles(c, &r->memory, &r->roles, &r->e);
}

/* ---- on loop 0 ---- */

static void report_changed(struct reading *r)
{
    struct keyring ring = {0};
    struct err ignored = {0};
    struct str signer = S("JWT secret");
    if (!keyring_read(r->keys, &r->memory, &ring, &ignored))
        return;
    for (size_t i = 0; i < ring.count; i++)
        if (ring.keys[i].state == KEYRING_IN_USE)
            signer = ring.keys[i].kid;
    log_say(LOG_INFO, "keys.changed", "signing key: %.*s", STR_ARG(signer));
    struct buf detail;
    buf_init_arena(&detail, &r->memory, 1024);
    json_put_open(&detail, '{');
    json_put_kstr(&detail, "signing_key", signer);
    json_put_ki64(&detail, "keys", (int64_t)ring.count);
    json_put_close(&detail, '}');
    audit_report(NULL, &(struct audit_note){.event = AUDIT_CONFIGURATION_CHANGED,
                                            .actor_kind = S("server"),
                                            .detail = buf_view(&detail)});
}

/* What a setting gives is used as it is. */
static bool apply(struct reading *r, struct err *e)
{
    const struct jwt_keys *former = guard_keys(self.guard);
    const struct settings *s = self.settings;
    struct secrets k = *self.secrets;
    struct guard_keyset set;
    access_set(r->roles);
    k.jwt_keys = r->keys.p ? arena_cstr(&r->memory, r->keys) : NULL;
    if (!s->publishable_key && r->publishable.p)
        k.publishable_key = arena_cstr(&r->memory, r->publishable);
    if (!s->secret_key && r->secret.p)
        k.secret_key = arena_cstr(&r->memory, r->secret);
    if (!keyring_set(s, &k, &r->memory, &set, e) || !guard_rekey(self.guard, &set, e))
        return false;
    if (guard_keys(self.guard) != former)
        report_changed(r);
    return true;
}

/* False: to be tried again. Keys that cannot be used are said, and the former ones stay. */
static bool read_once(void)
{
    struct err e = {0};
    struct reading *r = calloc(1, sizeof(*r));
    BUG(!r);
    arena_init(&r->memory, SIZE_MAX);
    r->job = (struct offload_job){.run = reading_run, .drop = reading_drop};
    r->conninfo = self.db->owner;
    if (!offload_run(self.reader, &r->job, &e))
        return false;
    bool ok = r->ok;
    if (ok && !apply(r, &e))
        log_say(LOG_ERROR, "keys.invalid", "the former keys stay: %s", e.message);
    reading_drop(&r->job);
    return ok;
}

static void reload(void *arg)
{
    (void)arg;
    for (bool ok = false; !ok || self.read_again;) {
        self.read_again = false;
        ok = read_once();
        if (self.stopping || (!ok && fiber_sleep(AGAIN_US) == FIBER_GONE))
            break;
    }
    self.read_us = clock_mono_us();
    self.reading = false;
}

void rekey_reload(void)
{
    if (!self.reader || self.stopping)
        return;
    self.read_again = true;
    if (!self.reading) {
        self.reading = true;
        fiber_start(reload, NULL);
    }
}

/* While nothing can be heard a revoked key must not go on, so it is asked for. */
static void look(struct timer *t)
{
    int64_t now = clock_mono_us();
    bool deaf = now - pg_notify_heard_us() > CLOCK_S;
    if (access_missed() || deaf || now - self.read_us >= ROLES_US)
        rekey_reload();
    timer_arm(t, clock_mono_us() + LOOK_US, look);
}

static void watch(void *arg)
{
    (void)arg;
    self.read_us = clock_mono_us(); /* what start read */
    timer_arm(&self.timer, self.read_us + LOOK_US, look);
}

void rekey_start(void)
{
    loop_post(loop_at(0), watch, NULL);
}

void rekey_stop(void)
{
    self.stopping = true;
    timer_disarm(&self.timer);
}

bool rekey_open(const struct settings *s, const struct secrets *k, const struct database *db,
                struct guard *g, struct err *e)
{
    struct offload_config c = {.name = "rekey", .threads = 1, .queue_max = 4};
    if (!offload_open(&c, &self.reader, e))
        return false;
    self.settings = s;
    self.secrets = k;
    self.db = db;
    self.guard = g;
    return true;
}

void rekey_close(void)
{
    if (self.reader)
        offload_close(self.reader, CONNECT_MS);
    self.reader = NULL;
    access_close();
}
