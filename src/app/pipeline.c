/* SPDX-License-Identifier: Apache-2.0 */
#include "app/pipeline.h"

#include "app/dialect.h"
#include "app/incident.h"
#include "auth/auth.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/url.h"
#include "base/utf8.h"
#include "guard/context.h"
#include "guard/emergency.h"
#include "guard/guard.h"
#include "guard/layers.h"
#include "guard/quota.h"
#include "ops/metrics.h"
#include "pg/pg_tx.h"
#include "runtime/fiber.h"

/* Room for the answers and headers that are not worth a setting. */
enum { PATH_SHOWN = 512, STATUS_MAX = 600 };

static const struct str security_headers = S_INIT("X-Content-Type-Options: nosniff\r\n"
                                                  "X-Frame-Options: DENY\r\n"
                                                  "Referrer-Policy: no-referrer\r\n"
                                                  "Cross-Origin-Resource-Policy: cross-origin\r\n");
/* One year (seed-systems.md §1.13); only told where the connection itself is safe. */
static const struct str transport_security =
    S_INIT("Strict-Transport-Security: max-age=31536000\r\n");

/* Label indexes, looked up once. */
static unsigned status_label[STATUS_MAX];
static unsigned surface_label[SURFACE_COUNT];
static struct {
    unsigned read, route, guard, handler, database, hash, write;
} stage;
static unsigned denied_key, denied_token, denied_access, deadline_over;

static void prepare_statuses(void)
{
    for (unsigned i = 100; i < STATUS_MAX; i++) {
        char text[12];
        struct buf b = {.p = text, .cap = sizeof(text), .max_bytes = sizeof(text)};
        buf_i64(&b, i);
        status_label[i] = metrics_label(METRIC_http_requests, buf_view(&b));
    }
}

void pipeline_prepare(void)
{
    static const struct str surfaces[SURFACE_COUNT] = {
        [SURFACE_NONE] = S_INIT("other"),          [SURFACE_AUTH] = S_INIT("auth"),
        [SURFACE_REST] = S_INIT("rest"),           [SURFACE_STORAGE] = S_INIT("storage"),
        [SURFACE_FUNCTIONS] = S_INIT("functions"), [SURFACE_APP] = S_INIT("app"),
        [SURFACE_ADMIN] = S_INIT("admin"),
    };
    prepare_statuses();
    layers_prepare();
    for (unsigned i = 0; i < SURFACE_COUNT; i++)
        surface_label[i] = metrics_label(METRIC_http_request_duration, surfaces[i]);
    stage.read = metrics_label(METRIC_http_stage, S("read"));
    stage.route = metrics_label(METRIC_http_stage, S("route"));
    stage.guard = metrics_label(METRIC_http_stage, S("guard"));
    stage.handler = metrics_label(METRIC_http_stage, S("handler"));
    stage.database = metrics_label(METRIC_http_stage, S("database"));
    stage.hash = metrics_label(METRIC_http_stage, S("hash"));
    stage.write = metrics_label(METRIC_http_stage, S("write"));
    denied_key = metrics_label(METRIC_http_denied, S("api_key"));
    denied_token = metrics_label(METRIC_http_denied, S("token"));
    denied_access = metrics_label(METRIC_http_denied, S("access"));
    deadline_over = metrics_label(METRIC_http_timeouts, S("deadline"));
}

/* Observes the time since *from and moves it on. */
static void stage_end(unsigned which, int64_t *from)
{
    int64_t now = clock_mono_us();
    metrics_observe_us(METRIC_http_stage, which, now - *from);
    *from = now;
}

/* ---- the stages ---------------------------------------------------------------------------- */

/* Header fields may hold any bytes; text columns, logs and JSON hold UTF-8. */
static struct str text_of_field(struct arena *a, struct str field)
{
    if (utf8_valid(field))
        return field;
    char *p = arena_alloc(a, field.n + 1);
    for (size_t i = 0, step; i < field.n; i += step ? step : 1) {
        step = utf8_next(field, i);
        memcpy(p + i, step ? field.p + i : "?", step ? step : 1);
    }
    return str_of(p, field.n);
}

static void frame(struct req *req)
{
    req->user_agent = text_of_field(req->arena, req->user_agent);
    trace_request_id(req_header(req, S("x-request-id")), req->id);
    trace_begin(&req->trace, req_header(req, S("traceparent")));
    req->surface = req->admin_listener ? SURFACE_ADMIN : route_surface_of(req->path);
}

static bool deadline_set(const struct pipeline *p, const struct req *req)
{
    int64_t limit = req->route && req->route->deadline_us ? req->route->deadline_us : p->timeout_us;
    fiber_set_deadline(req->head_us + limit);
    return true;
}

/* Whole segments: "/rest/v1" and "/rest/v1/x", not "/rest/v10". */
static bool path_under(struct str path, struct str prefix)
{
    return str_starts(path, prefix) && (path.n == prefix.n || path.p[prefix.n] == '/');
}

/* Surfaces that a Supabase client may ask for and that are not built yet say so. */
static bool not_built(const struct req *req, struct err *e)
{
    static const struct str prefixes[] = {
        S_INIT("/rest/v1"),     S_INIT("/storage/v1"), S_INIT("/functions/v1"),
        S_INIT("/realtime/v1"), S_INIT("/graphql/v1"), S_INIT("/pg"),
    };
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (path_under(req->path, prefixes[i]))
            return err_set(e, 501, "not_implemented",
                           "%.*s is not available in this version of Basalt", STR_ARG(prefixes[i]));
    return true;
}

/* GoTrue's router answers in plain text, its clients' tests compare it (auth.md §0 "Unmatched"). */
static bool no_route(const struct req *req, const struct route_match *m, struct resp *resp,
                     bool *answered, struct err *e)
{
    *answered = true;
    if (req->surface == SURFACE_AUTH && m->path_known) {
        resp_empty(resp, 405);
        return true;
    }
    if (req->surface == SURFACE_AUTH) {
        resp_text(resp, 404, S("text/plain; charset=utf-8"), S("404 page not found\n"));
        return true;
    }
    if (m->path_known)
        return err_set(e, 405, "method_not_allowed", "%.*s is not allowed here",
                       STR_ARG(req->head->method_text));
    return not_built(req, e) && err_set(e, 404, "not_found", "There is nothing at this path");
}

/* What a path offers may be asked (RFC 9110 §9.3.7), also without being a browser's preflight. */
static bool options(const struct req *req, const struct route_match *m, struct resp *resp)
{
    if (req->method != METHOD_OPTIONS || m->route || (!m->path_known && !str_is(req->path, "*")))
        return false;
    resp_empty(resp, 204);
    return true;
}

/* What cannot be read must not count as absent: a logout of one session would become one of all. */
static bool query_readable(const struct req *req, struct err *e)
{
    return req->query.n == 0 || url_decode(req->arena, req->query, true).p
           || err_set(e, 400, "validation_failed", "The query of this URL is malformed");
}

static bool route_step(const struct pipeline *p, struct req *req, struct resp *resp, bool *answered,
                       struct err *e)
{
    struct route_match m;
    route_find(p->routes, req->method, req->path, &m);
    *answered = cors_preflight(p->cors, req, m.methods, resp) || options(req, &m, resp);
    if (*answered)
        return true;
    if (m.route && (m.route->access == ACCESS_ADMIN_PORT) != req->admin_listener)
        m = (struct route_match){0}; /* the other listener's */
    if (!m.route)
        return no_route(req, &m, resp, answered, e);
    req->route = m.route;
    memcpy(req->params, m.params, sizeof(m.params));
    deadline_set(p, req);
    return query_readable(req, e);
}

/* GoTrue says 403 of tokens that are of no use; the apps' clients know 401, and log in anew then. */
static void unauthorized(struct err *e)
{
    static const char *const codes[] = {"bad_jwt", "user_not_found", "session_not_found",
                                        "session_context_changed"};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (strcmp(e->code, codes[i]) == 0)
            e->status = 401;
}

static void count_denied(const struct err *e)
{
    bool key = strstr(e->code, "api_key"), access = strcmp(e->code, "not_admin") == 0;
    if (e->status < 500)
        metrics_add(METRIC_http_denied,
                    key      ? denied_key
                    : access ? denied_access
                             : denied_token,
                    1);
}

/* ---- the authorization layers, in the order of their cost ---- */

static bool identify(struct req *req, struct err *e)
{
    (void)e;
    guard_identify(req->services->guard, req);
    context_take_client(req);
    return true;
}

static bool allow(struct req *req, struct err *e)
{
    return guard_allow(req->services->guard, req, e);
}

static bool caller_lives(struct req *req, struct err *e)
{
    if (req->route->access == ACCESS_USER)
        return caller_check(req, e);
    return req->route->access != ACCESS_SERVICE || caller_check_service(req, e);
}

static bool ids(struct req *req, struct err *e)
{
    return layers_ids(req, e);
}

static bool address(struct req *req, struct err *e)
{
    return context_check_address(req, e);
}

static bool emergency(struct req *req, struct err *e)
{
    return emergency_check(req, e);
}

static bool administrator(struct req *req, struct err *e)
{
    return context_check_admin(req, e);
}

static bool session_context(struct req *req, struct err *e)
{
    const struct caller *c = req->caller;
    return !c || context_check_session(req, c->session_ip, c->session_agent, e);
}

/* LAYER_COUNT: no layer's, the gateway's own. */
static const struct check {
    bool (*pass)(struct req *req, struct err *e);
    enum layer layer;
} checks[] = {
    {address, LAYER_CONTEXT},    {identify, LAYER_COUNT},    {emergency, LAYER_EMERGENCY},
    {quota_address, LAYER_RATE}, {allow, LAYER_ROLE},        {administrator, LAYER_CONTEXT},
    {ids, LAYER_IDS},            {caller_lives, LAYER_CACHE}, {session_context, LAYER_CONTEXT},
    {quota_user, LAYER_RATE},
};

static bool refused(struct req *req, enum layer layer, struct layers_watch *w, struct err *e)
{
    bool role = e->code && strcmp(e->code, "not_admin") == 0;
    if (layer == LAYER_ROLE && !role)
        layer = LAYER_COUNT; /* it is not known who calls, so no role was asked about */
    if (layer == LAYER_COUNT || layer == LAYER_ROLE || layer == LAYER_CACHE)
        count_denied(e);
    if (layer != LAYER_COUNT) {
        layers_done(layer, w);
        layers_refused(layer, req);
    }
    if (req->surface == SURFACE_APP)
        unauthorized(e);
    return false;
}

static bool guard_step(struct req *req, int64_t *from, struct err *e)
{
    struct layers_watch w = layers_begin();
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        const struct check *c = &checks[i];
        if (!c->pass(req, e))
            return refused(req, c->layer, &w, e);
        if (c->layer == LAYER_COUNT)
            layers_skip(&w);
        else
            layers_done(c->layer, &w);
    }
    stage_end(stage.guard, from);
    return true;
}

/* What a handler's own limits refused (accounts, mails, wrong passwords) is the same layer's. */
static void handler_refused(struct req *req, const struct err *e)
{
    if (e->status == 429 && e->code && strncmp(e->code, "over_", 5) == 0)
        layers_refused(LAYER_RATE, req);
}

/* Layer 8: what was refused becomes an event, whatever becomes of that. */
static void note_failure(const struct req *req)
{
    struct layers_watch w = layers_begin();
    incident_failure(req);
    layers_done(LAYER_AUDIT, &w);
}

static bool body_step(struct req *req, int64_t *from, struct err *e)
{
    const struct route *r = req->route;
    bool ok =
        r->body_max == 0 || (r->flags & ROUTE_STREAM_BODY) || req_body_all(req, r->body_max, e);
    stage_end(stage.read, from);
    return ok;
}

static bool stages(const struct pipeline *p, struct req *req, struct resp *resp, struct err *e)
{
    int64_t from = req->head_us;
    bool answered = false;
    if (req->malformed) {
        *e = *req->malformed;
        return false;
    }
    if (!route_step(p, req, resp, &answered, e) || answered)
        return answered && e->status == 0;
    stage_end(stage.route, &from);
    if (!guard_step(req, &from, e) || !body_step(req, &from, e) || !captcha_check(req, e))
        return false;
    bool ok = req->route->handler(req, resp, e);
    if (!ok)
        handler_refused(req, e);
    stage_end(stage.handler, &from);
    return ok;
}

/* ---- headers of every answer ---------------------------------------------------------------- */

/* "12.34" of microseconds. */
static void put_ms(struct buf *b, int64_t us)
{
    buf_i64(b, us / 1000);
    buf_char(b, '.');
    buf_char(b, (char)('0' + us / 100 % 10));
    buf_char(b, (char)('0' + us / 10 % 10));
}

static void timing_headers(const struct req *req, struct resp *resp)
{
    struct buf *b = &resp->headers;
    int64_t total = clock_mono_us() - req->head_us;
    BUF_LIT(b, "Server-Timing: total;dur=");
    put_ms(b, total);
    if (req->pg->query_us || req->pg->wait_us) {
        BUF_LIT(b, ", db;dur=");
        put_ms(b, req->pg->query_us + req->pg->wait_us);
    }
    if (req->hash_us) {
        BUF_LIT(b, ", hash;dur=");
        put_ms(b, req->hash_us);
    }
    BUF_LIT(b, "\r\nX-Response-Time: ");
    put_ms(b, total);
    BUF_LIT(b, "ms\r\n");
}

/* A method that is refused is told which ones are not (RFC 9110 §15.5.6); so is OPTIONS. */
static void allow_header(const struct pipeline *p, const struct req *req, struct resp *resp)
{
    struct route_match m;
    if (resp->status != 405 && req->method != METHOD_OPTIONS)
        return;
    route_find(p->routes, req->method, req->path, &m);
    if (m.methods == 0)
        return;
    BUF_LIT(&resp->headers, "Allow: OPTIONS");
    for (int i = METHOD_NONE + 1; i < METHOD_COUNT; i++)
        if (i != METHOD_OPTIONS && (m.methods >> i & 1U))
            buf_printf(&resp->headers, ", %s", method_name((enum method)i));
    BUF_LIT(&resp->headers, "\r\n");
}

static void common_headers(const struct pipeline *p, const struct req *req, struct resp *resp)
{
    cors_headers(p->cors, req, resp);
    allow_header(p, req, resp);
    quota_headers(req, resp);
    resp_header(resp, "X-Request-ID", str_from(req->id));
    buf_str(&resp->headers, security_headers);
    if (req->tls)
        buf_str(&resp->headers, transport_security);
    timing_headers(req, resp);
}

void pipeline_handle(struct req *req, struct resp *resp, void *ctx)
{
    const struct pipeline *p = ctx;
    struct err *e = arena_new(req->arena, struct err, 1);
    struct pg_client *client = arena_new(req->arena, struct pg_client, 1);
    client->arena = req->arena;
    req->pg = client;
    req->services = p->services;
    frame(req);
    deadline_set(p, req);
    if (!stages(p, req, resp, e)) {
        BUG(e->status == 0);
        req->failure = e;
        note_failure(req);
        dialect_write(req, e, resp);
    }
    BUG(client->open);
    common_headers(p, req, resp);
    req->handled_us = clock_mono_us();
}

/* ---- after the answer ------------------------------------------------------------------------ */

static void log_request(const struct pipeline *p, const struct req *req, const struct resp *resp,
                        uint64_t sent, int64_t took)
{
    bool slow = took >= p->slow_us;
    bool broken = req->failure && req->failure->status >= 500;
    enum log_level level = broken ? LOG_ERROR : slow ? LOG_WARN : LOG_INFO;
    if (!p->log_requests || !log_enabled(level))
        return;
    struct log_line l;
    log_begin(&l, level, slow ? "slow_request" : "request");
    log_cstr(&l, "method", method_name(req->method));
    log_str(&l, "path", str_of(req->path.p, req->path.n < PATH_SHOWN ? req->path.n : PATH_SHOWN));
    log_cstr(&l, "route", req->route ? req->route->path : NULL);
    if (!req->failure) /* else it comes with the error */
        log_i64(&l, "status", resp->status);
    log_ms(&l, "ms", took);
    if (slow)
        log_ms(&l, "seconds",
               took / 1000); /* milliseconds of milliseconds: seconds with three decimals */
    log_i64(&l, "bytes", (int64_t)sent);
    log_str(&l, "ip", req->client_ip);
    log_cstr(&l, "request_id", req->id);
    log_cstr(&l, "trace_id", req->trace.trace_id);
    if (req->principal && req->principal->user_id.text[0])
        log_cstr(&l, "user_id", req->principal->user_id.text);
    if (req->pg && (req->pg->query_us || req->pg->wait_us)) {
        log_ms(&l, "db_ms", req->pg->query_us);
        log_ms(&l, "pool_ms", req->pg->wait_us);
    }
    if (req->hash_us)
        log_ms(&l, "hash_ms", req->hash_us);
    if (req->failure)
        log_err(&l, req->failure);
    log_end(&l);
}

static void count_request(const struct pipeline *p, const struct req *req, const struct resp *resp,
                          int64_t took)
{
    unsigned status = resp->status > 0 && resp->status < STATUS_MAX ? (unsigned)resp->status : 500;
    unsigned surface = surface_label[req->surface];
    metrics_add(METRIC_http_requests, status_label[status], 1);
    metrics_observe_us(METRIC_http_request_duration, surface, took);
    metrics_observe_us(METRIC_http_stage, stage.write, req->head_us + took - req->handled_us);
    if (req->failure && req->failure->status == 504)
        metrics_add(METRIC_http_timeouts, deadline_over, 1);
    if (took >= p->slow_us)
        metrics_add(METRIC_http_slow_requests, surface, 1);
    if (req->pg && req->pg->query_us)
        metrics_observe_us(METRIC_http_stage, stage.database, req->pg->query_us);
    if (req->hash_us)
        metrics_observe_us(METRIC_http_stage, stage.hash, req->hash_us);
}

void pipeline_finished(struct req *req, struct resp *resp, uint64_t sent, void *ctx)
{
    const struct pipeline *p = ctx;
    int64_t took = clock_mono_us() - req->head_us;
    caller_release(req);
    count_request(p, req, resp, took);
    if (took >= p->slow_us)
        incident_slow(req, resp->status, took);
    log_request(p, req, resp, sent, took);
}
