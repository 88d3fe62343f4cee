/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users for end-to-end tests (seed-systems.md §1.3): real ones, made and removed on request. Whoever may
 * ask can fill the user table, so this is off unless e2e_testing says otherwise, and then for the
 * service key or e2e_secret alone.
 */
#include "account/account.h"
#include "account/account_private.h"

#include "base/clock.h"
#include "base/secret.h"
#include "guard/guard.h"

enum { CREDITS = 10000, CREDITS_MAX = 1000000000, NAME_MAX_BYTES = 40, SECRET_MIN = 32 };

static const struct account *config_of(const struct req *req)
{
    return req->services->account;
}

static bool secret_fits(const struct req *req)
{
    struct str wanted = config_of(req)->e2e_secret, sent = req_header(req, S("x-e2e-secret"));
    return wanted.n >= SECRET_MIN && sent.n && secret_eq(sent, wanted);
}

/* First in every handler below that does anything. */
static bool allowed(struct req *req, struct err *e)
{
    if (!config_of(req)->e2e_testing)
        return err_set(e, 403, "e2e_disabled", "E2E testing is disabled: set BASALT_E2E_TESTING=true, never in production");
    if (secret_fits(req))
        return true;
    return guard_allow_service(req->services->guard, req, e) && caller_check_service(req, e);
}

/* GET /api/v1/e2e, /api/v1/e2e/health: for anybody, whether it is on. */
bool e2e_api_health(struct req *req, struct resp *resp, struct err *e)
{
    bool on = config_of(req)->e2e_testing;
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_kstr(b, "service", S("e2e-testing"));
    json_put_kstr(b, "status", on ? S("enabled") : S("disabled"));
    json_put_kbool(b, "enabled", on);
    json_put_ktime(b, "timestamp", req->now_us);
    json_put_close(b, '}');
    return resp_done(resp, e);
}

struct start_in {
    struct str test_name;
    struct json_i64 credits;
};

static const struct json_field start_fields[] = {
    JSON_FIELD(struct start_in, test_name, JSON_STR, NAME_MAX_BYTES, 0),
    JSON_FIELD(struct start_in, credits, JSON_I64, CREDITS_MAX, 0),
};

static const struct json_shape start_shape = {start_fields, 2, true};

static bool start_read(struct req *req, struct start_in *in, struct err *e)
{
    if (req->body.n && !account_json_read(req, &start_shape, in, e))
        return false;
    if (!in->test_name.p)
        in->test_name = S("default");
    if (!in->credits.present)
        in->credits.value = CREDITS;
    if (in->credits.value < 0)
        return err_set(e, 422, "validation_failed", "credits must be a number from 0 to %d", CREDITS_MAX);
    for (size_t i = 0; i < in->test_name.n; i++) {
        char c = in->test_name.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_'))
            return err_set(e, 422, "validation_failed", "test_name must be letters, digits, - and _");
    }
    return in->test_name.n > 0 || err_set(e, 422, "validation_failed", "test_name must not be empty");
}

static void put_session(struct buf *b, const struct req *req, const struct e2e_session *s)
{
    bool active = s->session_id.text[0] && s->expires_us > req->now_us;
    json_put_kbool(b, "success", true);
    json_put_kstr(b, "session_id", uuid_str(&s->id));
    json_put_kstr(b, "test_user_id", uuid_str(&s->user_id));
    json_put_kstr(b, "test_user_email", s->email);
    json_put_kstr(b, "test_name", s->test_name);
    json_put_ki64(b, "credits", s->credits);
    json_put_kstr(b, "status", active ? S("active") : S("expired"));
    json_put_ktime(b, "start_time", s->created_us);
    json_put_ktime(b, "session_expires_at", s->expires_us);
}

/* POST /api/v1/e2e/test-session {test_name?, credits?} */
bool e2e_api_start(struct req *req, struct resp *resp, struct err *e)
{
    struct start_in in = {0};
    struct e2e_session s;
    struct token_pair pair;
    if (!allowed(req, e) || !start_read(req, &in, e) || !e2e_start(req, in.test_name, in.credits.value, &s, &pair, e))
        return false;
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    put_session(b, req, &s);
    account_json_put_tokens(b, &pair);
    json_put_close(b, '}');
    account_json_no_store(resp);
    return resp_done(resp, e);
}

bool e2e_api_get(struct req *req, struct resp *resp, struct err *e)
{
    struct e2e_session s;
    if (!allowed(req, e) || !e2e_find(req, req->params[0], &s, e))
        return false;
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    put_session(b, req, &s);
    json_put_close(b, '}');
    return resp_done(resp, e);
}

bool e2e_api_token(struct req *req, struct resp *resp, struct err *e)
{
    struct e2e_session s;
    struct token_pair pair;
    if (!allowed(req, e) || !e2e_find(req, req->params[0], &s, e) || !e2e_token(req, &s, &pair, e))
        return false;
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_kstr(b, "session_id", uuid_str(&s.id));
    json_put_kstr(b, "user_id", uuid_str(&s.user_id));
    json_put_kstr(b, "token", pair.access_token);
    json_put_kstr(b, "access_token", pair.access_token);
    json_put_kstr(b, "token_type", S("bearer"));
    json_put_ki64(b, "expires_in", pair.expires_in_s);
    json_put_close(b, '}');
    account_json_no_store(resp);
    return resp_done(resp, e);
}

bool e2e_api_end(struct req *req, struct resp *resp, struct err *e)
{
    if (!allowed(req, e) || !e2e_end(req, req->params[0], e))
        return false;
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_kbool(b, "success", true);
    json_put_kstr(b, "session_id", req->params[0]);
    json_put_kstr(b, "status", S("cleaned_up"));
    json_put_close(b, '}');
    return resp_done(resp, e);
}

/* POST /api/v1/e2e/cleanup-expired: what the sweep does every five minutes, now. */
bool e2e_api_cleanup(struct req *req, struct resp *resp, struct err *e)
{
    struct e2e_swept swept;
    if (!allowed(req, e) || !e2e_sweep(req, &swept, e))
        return false;
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_kbool(b, "success", swept.left == 0);
    json_put_ki64(b, "cleaned", swept.removed);
    json_put_ki64(b, "failed", swept.left);
    json_put_close(b, '}');
    return resp_done(resp, e);
}

bool e2e_api_status(struct req *req, struct resp *resp, struct err *e)
{
    int64_t active, expired;
    if (!allowed(req, e) || !e2e_count(req, &active, &expired, e))
        return false;
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_kbool(b, "enabled", true);
    json_put_ki64(b, "active_sessions", active);
    json_put_ki64(b, "expired_sessions", expired);
    json_put_close(b, '}');
    return resp_done(resp, e);
}
