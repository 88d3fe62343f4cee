/* SPDX-License-Identifier: Apache-2.0 */
#include "app/incident.h"

#include "audit/audit.h"
#include "base/json.h"
#include "guard/principal.h"

enum { PATH_MAX_BYTES = 256, DETAIL_BYTES = 1024 };

static void report(const struct req *req, enum audit_event event, const char *code, int status,
                   int64_t took_us)
{
    char mem[DETAIL_BYTES];
    struct buf b = {.p = mem, .cap = sizeof(mem), .max_bytes = sizeof(mem)};
    struct str path = req->path;
    path.n = path.n < PATH_MAX_BYTES ? path.n : PATH_MAX_BYTES;
    json_put_open(&b, '{');
    if (code)
        json_put_kstr(&b, "code", str_from(code));
    json_put_ki64(&b, "status", status);
    if (req->layer)
        json_put_ki64(&b, "layer", req->layer);
    if (took_us)
        json_put_ki64(&b, "ms", took_us / 1000);
    json_put_kstr(&b, "method", str_from(method_name(req->method)));
    if (req->route)
        json_put_kstr(&b, "route", str_from(req->route->path));
    else /* never the query: tokens are in it */
        json_put_kstr(&b, "path", path);
    json_put_close(&b, '}');

    const struct principal *p = req->principal;
    bool user = p && p->user_id.text[0];
    audit_report(req, &(struct audit_note){
                          .event = event,
                          .actor_id = user ? uuid_str(&p->user_id) : (struct str){0},
                          .actor_kind = user            ? S("user")
                                        : p && p->admin ? S("service")
                                                        : (struct str){0},
                          .detail = b.failed ? (struct str){0} : buf_view(&b),
                      });
}

/* Answers of status 400 that say more than that the client is mistaken. */
static const struct {
    const char *code;
    enum audit_event event;
} codes[] = {
    {"bad_jwt", AUDIT_UNAUTHORIZED_ACCESS},
    {"refresh_token_not_found", AUDIT_REFRESH_FAILED},
    {"session_not_found", AUDIT_REFRESH_FAILED},
    {"session_expired", AUDIT_TOKEN_EXPIRED},
    {"captcha_failed", AUDIT_SUSPICIOUS_ACTIVITY},
};

/* AUDIT_EVENT_COUNT: none. */
static enum audit_event event_of(const struct req *req, const struct err *e)
{
    if (req->malformed)
        return e->status != 408 ? AUDIT_SUSPICIOUS_ACTIVITY /* a slow client is none */
                                : AUDIT_EVENT_COUNT;
    if (e->status == 429)
        return AUDIT_RATE_LIMITED;
    if (strstr(e->message, "signature is invalid")) /* a token that somebody forged or changed */
        return AUDIT_SECURITY_VIOLATION;
    if (e->status == 401 || e->status == 403 || req->layer)
        return strstr(e->message, "expired") ? AUDIT_TOKEN_EXPIRED : AUDIT_UNAUTHORIZED_ACCESS;
    if (e->status == 500)
        return AUDIT_REQUEST_FAILED;
    for (size_t i = 0; e->status == 400 && i < sizeof(codes) / sizeof(codes[0]); i++)
        if (strcmp(e->code, codes[i].code) == 0)
            return codes[i].event;
    return AUDIT_EVENT_COUNT;
}

void incident_failure(const struct req *req)
{
    const struct err *e = req->failure;
    enum audit_event event = event_of(req, e);
    if (event != AUDIT_EVENT_COUNT)
        report(req, event, e->code, e->status, 0);
}

void incident_slow(const struct req *req, int status, int64_t took_us)
{
    report(req, AUDIT_SLOW_REQUEST, NULL, status, took_us);
}
