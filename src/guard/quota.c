/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/quota.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "guard/network.h"
#include "guard/principal.h"
#include "guard/services.h"
#include "ops/metrics.h"
#include "ops/ratelimit.h"
#include "pg/pg_tx.h"

enum by { BY_ADDRESS, BY_USER, BY_KEY, BY_INSTANCE };
enum kind { KIND_REQUEST, KIND_FREQUENT, KIND_MAIL, KIND_LOCKOUT };

static const struct row {
    const char *setting;
    int64_t period_us;
    enum by by;
    enum kind kind;
} rows[QUOTA_COUNT] = {
#define X(id, setting, period_s, by, kind, help) \
    {#setting, (period_s)*CLOCK_S, BY_##by, KIND_##kind},
#include "guard/quota.def"
#undef X
};

enum state { LIMITED, OFF, BLOCKED };

struct limit {
    enum state state;
    bool usual;
    struct ratelimit_rule rule;
};

struct quota {
    struct ratelimit *counters;
    struct limit limits[QUOTA_COUNT];
    struct arena memory;
    struct str header;
    bool mail_confirms;
    int64_t delay_max_us;
    atomic_flag told_of_proxy;
};

/* Of a request: who asks, and of the limits met the one with the least left. */
struct quota_met {
    bool asked;
    struct str client; /* once asked for; absent: cannot be told apart from others behind a proxy */
    const struct ratelimit_rule *rule;
    struct ratelimit_answer answer;
};

/* ---- settings ------------------------------------------------------------------------------- */

enum { COUNT_MAX = 1000000 };

static bool limit_read(enum quota_id id, struct str text, struct limit *out)
{
    struct str count, period;
    int64_t n, period_us = rows[id].period_us;
    *out = (struct limit){.state = OFF};
    if (!text.n || str_is(text, "off"))
        return true;
    bool both = str_cut(text, '/', &count, &period);
    if (!str_to_i64(str_trim(count), &n) || n < (rows[id].kind == KIND_LOCKOUT) || n > COUNT_MAX
        || (both && (!str_to_duration_us(str_trim(period), &period_us) || period_us < CLOCK_MS)))
        return false;
    out->state = n == 0 ? BLOCKED : LIMITED;
    if (n > 0)
        out->rule = (struct ratelimit_rule){.id = id, .burst = n, .every_us = period_us / n};
    return n == 0 || out->rule.every_us > 0;
}

bool quota_open(const struct quota_config *c, struct quota **out, struct err *e)
{
    struct quota *q = calloc(1, sizeof(*q));
    BUG(!q);
    for (unsigned i = 0; i < QUOTA_COUNT; i++) {
        struct str text = c->enabled ? str_from(c->limits[i]) : (struct str){0};
        if (!limit_read(i, text, &q->limits[i])) {
            free(q);
            return err_set(
                e, 2, "config",
                "%s must be a number, a number and a time such as 30/1h, or off, not \"%.*s\"",
                rows[i].setting, (int)(text.n < 40 ? text.n : 40), text.p);
        }
    }
    for (unsigned i = 0; i < QUOTA_COUNT; i++)
        q->limits[i].usual = c->usual[i];
    arena_init(&q->memory, SIZE_MAX);
    q->header = arena_str(&q->memory, c->header);
    q->mail_confirms = c->mail_confirms;
    q->delay_max_us = c->delay_max_us;
    q->counters = ratelimit_new(c->entries);
    atomic_flag_clear(&q->told_of_proxy);
    if (c->enabled && c->redis_url && !ratelimit_share(q->counters, c->redis_url, c->secret, e)) {
        quota_close(q);
        return false;
    }
    *out = q;
    return true;
}

struct ratelimit *quota_counters(const struct quota *q)
{
    return q->counters;
}

const struct ratelimit_rule *quota_rule(const struct quota *q, enum quota_id id)
{
    return q->limits[id].state == LIMITED ? &q->limits[id].rule : NULL;
}

int64_t quota_delay_max_us(const struct quota *q)
{
    return q->delay_max_us;
}

void quota_close(struct quota *q)
{
    if (!q)
        return;
    ratelimit_free(q->counters);
    arena_close(&q->memory);
    free(q);
}

/* ---- who is counted ------------------------------------------------------------------------- */

enum { CLIENT_MAX = 64, PATH_COUNTED = 512, KEY_MAX = 1024 };

/*
 * A proxy that we were not told of, by the network it is in and the field it adds: all its clients
 * have one address, and counting them as one would lock out everybody. Nobody can claim this from
 * the outside, where addresses are not private.
 */
static bool hidden_by_proxy(const struct req *req, struct network w)
{
    size_t at;
    struct str told = req_header(req, S("x-forwarded-for"));
    if (!told.n)
        told = req_header(req, S("forwarded"));
    return told.n && !req->server_ip.p && network_private(w)
           && !str_find(told, req->client_ip, &at);
}

static void tell_of_proxy(struct quota *q)
{
    if (!atomic_flag_test_and_set(&q->told_of_proxy))
        log_say(
            LOG_WARN, "limits.proxy",
            "a proxy hides its clients' addresses, so they are not limited by address: set trusted_proxies");
}

static struct str client_of(struct quota *q, const struct req *req)
{
    struct str first = {0}, rest;
    if (q->header.n && !req->server_ip.p)
        str_cut(req_header(req, q->header), ',', &first, &rest);
    first = str_trim(first);
    struct str ip = first.n ? first : req->client_ip;
    struct network *w = arena_new(req->arena, struct network, 1);
    *w = network_of(ip);
    if (!first.n && hidden_by_proxy(req, *w)) {
        tell_of_proxy(q);
        return (struct str){0};
    }
    return w->n ? network_bytes(w) : str_of(ip.p, ip.n < CLIENT_MAX ? ip.n : CLIENT_MAX);
}

static struct quota_met *met(struct req *req)
{
    if (!req->quota)
        req->quota = arena_new(req->arena, struct quota_met, 1);
    return req->quota;
}

struct str quota_client(struct req *req)
{
    struct quota_met *m = met(req);
    if (!m->asked)
        m->client = client_of(req->services->quota, req);
    m->asked = true;
    return m->client;
}

/* ---- taking --------------------------------------------------------------------------------- */

bool quota_refused(enum quota_id id, int64_t retry_us, struct err *e)
{
    metrics_add(METRIC_limit_refused, id, 1);
    if (rows[id].kind == KIND_MAIL)
        err_set(e, 429, "over_email_send_rate_limit", "email rate limit exceeded");
    else
        err_set(e, 429, "over_request_rate_limit", "Request rate limit reached");
    e->retry_after_s = (int)((retry_us + CLOCK_S - 1) / CLOCK_S);
    return false;
}

static bool take(struct req *req, enum quota_id id, struct str key, struct err *e)
{
    struct quota *q = req->services->quota;
    const struct limit *l = &q->limits[id];
    if (l->state == OFF)
        return true;
    if (l->state == BLOCKED)
        return quota_refused(id, rows[id].period_us, e);
    struct ratelimit_answer a;
    struct ratelimit_ask ask = {&l->rule, key};
    /* no waiting with a transaction open (architecture, invariant 2) */
    bool waits = !req->pg->open && rows[id].kind != KIND_FREQUENT;
    bool ok = (waits ? ratelimit_do : ratelimit_do_now)(q->counters, RATELIMIT_TAKE, &ask, 1, &a);
    struct quota_met *m = met(req);
    if (!m->rule || !ok || a.remaining < m->answer.remaining) {
        m->rule = &l->rule;
        m->answer = a;
    }
    return ok || quota_refused(id, a.retry_us, e);
}

/* From the machine itself, and nobody says on whose behalf. */
static bool own_machine(const struct req *req)
{
    return !req->services->quota->header.n
           && (str_starts(req->client_ip, S("127.")) || str_is(req->client_ip, "::1"));
}

bool quota_take(struct req *req, enum quota_id id, struct str key, struct err *e)
{
    if (req->services->quota->limits[id].state == OFF)
        return true;
    BUG(!key.p && rows[id].by != BY_ADDRESS);
    if (!key.p && req->principal && req->principal->key == PRINCIPAL_KEY_SERVICE
        && !req->server_ip.p)
        return true;
    if (!key.p && req->services->quota->limits[id].usual && own_machine(req))
        return true;
    if (!key.p)
        key = quota_client(req);
    return !key.p || take(req, id, key, e);
}

bool quota_mail(struct req *req, struct str address, struct err *e)
{
    if (!req->services->quota->mail_confirms)
        return true;
    return take(req, QUOTA_EMAIL_TO, address, e) && take(req, QUOTA_EMAIL, S(""), e);
}

/* ---- of routes ------------------------------------------------------------------------------ */

/* The limit column's words; those that are not here have limits of the surface alone. */
static const struct {
    bool set;
    enum quota_id id;
} by_route[LIMIT_COUNT] = {
    [LIMIT_LOGIN] = {true, QUOTA_TOKEN},   [LIMIT_TOKEN] = {true, QUOTA_TOKEN},
    [LIMIT_SIGNUP] = {true, QUOTA_SIGNUP}, [LIMIT_MAIL] = {true, QUOTA_OTP},
    [LIMIT_VERIFY] = {true, QUOTA_VERIFY},
};

static bool app_limited(const struct req *req)
{
    return req->surface == SURFACE_APP && req->route->limit != LIMIT_NONE;
}

/*
 * Mails are counted in their transaction, where nobody waits for Redis; so what others have sent is
 * learnt here, before there is one.
 */
static void learn_mails(struct req *req)
{
    struct quota *q = req->services->quota;
    const struct limit *l = &q->limits[QUOTA_EMAIL];
    struct ratelimit_ask ask = {&l->rule, S("")};
    if (q->mail_confirms && l->state == LIMITED)
        ratelimit_do(q->counters, RATELIMIT_LOOK, &ask, 1, NULL);
}

bool quota_address(struct req *req, struct err *e)
{
    enum route_limit limit = req->route->limit;
    const struct str here = {0};
    if (by_route[limit].set && !quota_take(req, by_route[limit].id, here, e))
        return false;
    if (limit == LIMIT_SIGNUP || limit == LIMIT_MAIL)
        learn_mails(req);
    return !app_limited(req) || quota_take(req, QUOTA_APP_ADDRESS, here, e);
}

/* One thing's path, asked for again and again by a user, or by an address when it is nobody's. */
static bool take_resource(struct req *req, struct err *e)
{
    const struct principal *p = req->principal;
    struct str who = p->user_id.text[0] ? uuid_str(&p->user_id) : quota_client(req);
    if (!req->params[0].p || !who.p || p->key == PRINCIPAL_KEY_SERVICE
        || req->services->quota->limits[QUOTA_APP_RESOURCE].state == OFF)
        return true;
    struct buf key;
    buf_init_arena(&key, req->arena, KEY_MAX);
    buf_str(&key, who);
    buf_str(&key, str_of(req->path.p, req->path.n < PATH_COUNTED ? req->path.n : PATH_COUNTED));
    return quota_take(req, QUOTA_APP_RESOURCE, buf_view(&key), e);
}

bool quota_user(struct req *req, struct err *e)
{
    const struct principal *p = req->principal;
    if (!app_limited(req))
        return true;
    if (p->user_id.text[0] && !quota_take(req, QUOTA_APP_USER, uuid_str(&p->user_id), e))
        return false;
    return take_resource(req, e);
}

void quota_headers(const struct req *req, struct resp *resp)
{
    const struct quota_met *m = req->quota;
    if (req->surface != SURFACE_APP || !m || !m->rule)
        return;
    resp_header_i64(resp, "X-RateLimit-Limit", m->rule->burst);
    resp_header_i64(resp, "X-RateLimit-Remaining", m->answer.remaining);
    resp_header_i64(resp, "X-RateLimit-Reset", (m->answer.reset_us + CLOCK_S - 1) / CLOCK_S);
}
