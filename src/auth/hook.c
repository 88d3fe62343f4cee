/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/hook.h"

#include <stdlib.h>

#include "auth/letter.h"
#include "auth/mailer.h"
#include "auth/webhook.h"
#include "base/clock.h"
#include "base/json.h"

enum {
    INPUT_MAX = 4 * 1024 * 1024, /* over a user's metadata at its largest */
    CLAIMS_TOLD = 400,           /* of what is wrong with claims */
    IDENTIFIER_MAX = 63,
};
#define FUNCTION_TIMEOUT_MS "2000"

struct hook_row {
    const char *setting, *name; /* the name in metadata is GoTrue's */
    enum breaker_id breaker;
};

static const struct hook_row rows[HOOK_COUNT] = {
    [HOOK_CUSTOM_ACCESS_TOKEN] = {"hook_custom_access_token", "customize-access-token",
                                  BREAKER_hook_token},
    [HOOK_SEND_EMAIL] = {"hook_send_email", "send-email", BREAKER_hook_mail},
    [HOOK_SEND_SMS] = {"hook_send_sms", "send-sms", BREAKER_hook_sms},
    [HOOK_PASSWORD_VERIFICATION] = {"hook_password_verification_attempt", "password-verification",
                                    BREAKER_hook_login},
    [HOOK_MFA_VERIFICATION] = {"hook_mfa_verification_attempt", "mfa-verification",
                               BREAKER_hook_mfa},
    [HOOK_BEFORE_USER_CREATED] = {"hook_before_user_created", "before-user-created",
                                  BREAKER_hook_before_signup},
    [HOOK_AFTER_USER_CREATED] = {"hook_after_user_created", "after-user-created",
                                 BREAKER_hook_after_signup},
};

struct hook {
    struct str uri;              /* absent: off */
    struct webhook *web;         /* NULL: a function */
    struct str schema, function; /* not quoted */
};

struct hooks {
    struct arena arena;
    struct hook of[HOOK_COUNT];
};

/* ---- settings -------------------------------------------------------------------------------- */

/* pg-functions://<any>/<schema>/<function> */
static bool function_parse(struct str rest, struct hook *h, struct err *e)
{
    struct str host, path, more;
    bool ok = str_cut(rest, '/', &host, &path) && str_cut(path, '/', &h->schema, &h->function)
              && !str_cut(h->function, '/', &path, &more) && h->schema.n > 0 && h->function.n > 0
              && h->schema.n <= IDENTIFIER_MAX && h->function.n <= IDENTIFIER_MAX;
    return ok
           || err_set(e, 2, "hook_invalid",
                      "a function is pg-functions://postgres/<schema>/<function>");
}

static bool hook_parse(struct hooks *all, enum hook_id id, const struct hook_config *c,
                       struct err *e)
{
    struct hook *h = &all->of[id];
    struct str function = S("pg-functions://");
    if (!c->uri.p)
        return true;
    h->uri = c->uri;
    bool ok = str_starts(c->uri, function)
                  ? function_parse(str_from_at(c->uri, function.n), h, e)
                  : webhook_open(c->uri, c->secrets, breaker_named(rows[id].breaker), &all->arena,
                                 &h->web, e);
    if (ok)
        return true;
    struct err why = *e;
    return err_set(e, 2, "hook_invalid", "%s: %s", rows[id].setting, why.message);
}

bool hook_open(const struct auth_config *c, struct hooks **out, struct err *e)
{
    struct hooks *h = calloc(1, sizeof(*h));
    BUG(!h); /* out of memory */
    arena_init(&h->arena, 64 * 1024);
    for (unsigned i = 0; i < HOOK_COUNT; i++)
        if (!hook_parse(h, (enum hook_id)i, &c->hooks[i], e)) {
            hook_close(h);
            return false;
        }
    *out = h;
    return true;
}

void hook_close(struct hooks *h)
{
    if (!h)
        return;
    arena_wipe(&h->arena); /* it has keys */
    arena_close(&h->arena);
    free(h);
}

bool hook_enabled(const struct auth *a, enum hook_id id)
{
    return a->hooks->of[id].uri.p;
}

/* ---- calling --------------------------------------------------------------------------------- */

static bool input_make(const struct hook_caller *c, enum hook_id id, struct str input,
                       struct str *out, struct err *e)
{
    struct buf b;
    struct uuid call = uuid_v4();
    buf_init_arena(&b, c->arena, INPUT_MAX);
    json_put_open(&b, '{');
    json_put_key(&b, "metadata");
    json_put_open(&b, '{');
    json_put_kstr(&b, "uuid", uuid_str(&call));
    json_put_ktime(&b, "time", clock_wall_us());
    json_put_kstr(&b, "name", str_from(rows[id].name));
    if (c->client_ip.n)
        json_put_kstr(&b, "ip_address", c->client_ip);
    json_put_close(&b, '}');
    if (input.n > 2) { /* its members */
        buf_char(&b, ',');
        buf_str(&b, str_of(input.p + 1, input.n - 2));
    }
    buf_char(&b, '}');
    *out = buf_view(&b);
    return !b.failed
           || err_set(e, 413, "request_entity_too_large", "the hook's input is too large");
}

/* Its time over is as for a service; what else it raises is for the log. */
static bool function_failed(const struct hook *h, struct err *e)
{
    struct err why = *e;
    if (!why.sqlstate[0] && why.status != 500)
        return false;
    if (strcmp(why.sqlstate, "57014") == 0)
        err_set(e, 422, "hook_timeout",
                "Failed to reach hook within maximum time of 2.000000 seconds");
    else if (why.status != 500 && why.status != 409)
        return false;
    else
        err_set(e, 500, "unexpected_failure", "Error running hook URI: %.*s", STR_ARG(h->uri));
    memcpy(e->sqlstate, why.sqlstate, sizeof(e->sqlstate));
    return err_detail(e, "%s", why.detail);
}

static bool function_call(const struct hook_caller *c, const struct hook *h, struct str input,
                          struct str *answer, struct err *e)
{
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, c->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &statement_limit_sql, PG_ARGS(S(FUNCTION_TIMEOUT_MS)));
    pg_tx_add(&tx, &hook_call_sql, PG_ARGS(h->schema, h->function, input));
    if (!pg_tx_commit(&tx, e))
        return function_failed(h, e);
    struct str said = pg_row_str(pg_tx_result(&tx, 1), 0, HOOK_CALL_ANSWER);
    *answer = arena_str(c->arena, said);
    return !said.p || answer->p
           || err_set(e, 422, "hook_payload_over_size_limit", "The hook's answer is too large");
}

struct failure {
    struct str error, message;
    struct json_i64 http_code;
};

static const struct json_field answer_fields[] = {
    JSON_FIELD(struct failure, error, JSON_OBJECT, 0, 0),
};
static const struct json_field failure_fields[] = {
    JSON_FIELD(struct failure, message, JSON_STR, 0, 0),
    JSON_FIELD(struct failure, http_code, JSON_I64, 0, 0),
};

struct attempt_answer {
    struct str decision, message;
    enum json_bool should_logout_user;
};

static const struct json_field attempt_fields[] = {
    JSON_FIELD(struct attempt_answer, decision, JSON_STR, 0, 0),
    JSON_FIELD(struct attempt_answer, message, JSON_STR, 0, 0),
    JSON_FIELD(struct attempt_answer, should_logout_user, JSON_BOOL, 0, 0),
};

/* What cannot be read, for want of memory too, is no consent. */
static bool read(struct str text, const struct json_field *fields, size_t count, void *out,
                 struct arena *a, struct err *e)
{
    struct json_shape shape = {fields, count, false};
    return json_read(text, &shape, out, a, e)
           || err_set(e, 500, "unexpected_failure", "Error unmarshaling JSON output.");
}

#define READ(text, fields, out, a, e) \
    read((text), (fields), sizeof(fields) / sizeof((fields)[0]), (out), (a), (e))

static bool answer_check(struct str answer, struct str *output, struct arena *a, struct err *e)
{
    struct failure f = {0};
    *output = str_trim(answer);
    if (!output->n || str_is(*output, "null"))
        *output = S("{}");
    if (!READ(*output, answer_fields, &f, a, e)
        || (f.error.p && !READ(f.error, failure_fields, &f, a, e)))
        return false;
    if (!f.message.n) /* GoTrue's rule: an error without words is none */
        return true;
    bool usable = f.http_code.present && f.http_code.value >= 400 && f.http_code.value < 600;
    int status = usable ? (int)f.http_code.value : 500;
    return err_set(e, status, status == 500 ? "unexpected_failure" : "unknown", "%.*s",
                   STR_ARG(f.message));
}

bool hook_call(const struct hook_caller *c, enum hook_id id, struct str input, struct str *output,
               struct err *e)
{
    const struct hook *h = &c->auth->hooks->of[id];
    struct str whole, answer = {0};
    return input_make(c, id, input, &whole, e)
           && (h->web ? webhook_call(h->web, whole, c->arena, &answer, e)
                      : function_call(c, h, whole, &answer, e))
           && answer_check(answer, output, c->arena, e);
}

bool hook_run(struct req *req, enum hook_id id, struct str input, struct str *output, struct err *e)
{
    struct hook_caller c = {
        .auth = auth_of(req), .pg = req->pg, .arena = req->arena, .client_ip = req->client_ip};
    return hook_call(&c, id, input, output, e);
}

/* ---- the points ------------------------------------------------------------------------------ */

bool hook_user(struct req *req, enum hook_id id, const struct user *u, struct err *e)
{
    struct buf b;
    struct str output;
    if (!hook_enabled(auth_of(req), id))
        return true;
    buf_init_arena(&b, req->arena, INPUT_MAX);
    json_put_open(&b, '{');
    json_put_key(&b, "user");
    user_put_json(&b, u);
    json_put_close(&b, '}');
    if (b.failed)
        return err_set(e, 413, "request_entity_too_large", "the hook's input is too large");
    return hook_run(req, id, buf_view(&b), &output, e);
}

static bool decide(struct req *req, enum hook_id id, struct str input, const char *fallback,
                   struct hook_decision *out, struct err *e)
{
    struct str output;
    struct attempt_answer said = {0};
    if (!hook_run(req, id, input, &output, e)
        || !READ(output, attempt_fields, &said, req->arena, e))
        return false;
    *out = (struct hook_decision){
        .reject = str_is(said.decision, "reject"),
        .logout = said.should_logout_user == JSON_TRUE,
        .message = said.message.n ? said.message : str_from(fallback),
    };
    return true;
}

bool hook_password(struct req *req, const struct user *u, bool valid, struct hook_decision *out,
                   struct err *e)
{
    *out = (struct hook_decision){0};
    if (!hook_enabled(auth_of(req), HOOK_PASSWORD_VERIFICATION))
        return true;
    struct str input = arena_printf(req->arena, "{\"user_id\":\"%s\",\"valid\":%s}", u->id.text,
                                    valid ? "true" : "false");
    return decide(req, HOOK_PASSWORD_VERIFICATION, input,
                  "Further password verification attempts will be rejected.", out, e);
}

bool hook_factor(struct req *req, const struct user *u, struct str factor_id,
                 struct str factor_type, bool valid, struct hook_decision *out, struct err *e)
{
    *out = (struct hook_decision){0};
    if (!hook_enabled(auth_of(req), HOOK_MFA_VERIFICATION))
        return true;
    struct str input = arena_printf(
        req->arena,
        "{\"user_id\":\"%s\",\"factor_id\":\"%.*s\",\"factor_type\":\"%.*s\",\"valid\":%s}",
        u->id.text, STR_ARG(factor_id), STR_ARG(factor_type), valid ? "true" : "false");
    return decide(req, HOOK_MFA_VERIFICATION, input,
                  "Further MFA verification attempts will be rejected.", out, e);
}

/* GoTrue's pairs are crossed: token and token_hash_new are for the address that is changed. */
static void put_tokens(struct buf *b, const struct mail *m)
{
    bool both = m->current_otp.n > 0;
    json_put_kstr(b, "token", both ? m->current_otp : m->otp.p ? m->otp : S(""));
    json_put_kstr(b, "token_hash", m->token_hash.p ? m->token_hash : S(""));
    json_put_kstr(b, "token_new", both ? m->otp : S(""));
    json_put_kstr(b, "token_hash_new", both ? m->current_hash : S(""));
}

void hook_mail_input(struct buf *b, const struct req *req, const struct mail *m)
{
    const struct auth_config *c = auth_config_of(req);
    const struct {
        const char *name;
        struct str value;
    } more[] = {{"old_email", m->old_email},
                {"old_phone", m->old_phone},
                {"provider", m->provider},
                {"factor_type", m->factor_type}};
    json_put_open(b, '{');
    if (m->user) {
        struct user u = *m->user;
        if (m->new_email.n)
            u.email_change = m->new_email; /* as this transaction writes it */
        json_put_key(b, "user");
        user_put_json(b, &u);
    }
    json_put_key(b, "email_data");
    json_put_open(b, '{');
    put_tokens(b, m);
    json_put_kstr(b, "redirect_to", m->redirect_to.p ? m->redirect_to : c->site_url);
    json_put_kstr(b, "email_action_type",
                  str_from(m->verify_type ? m->verify_type : letter_kind_name(m->kind)));
    json_put_kstr(b, "site_url", c->api_url);
    for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++)
        json_put_kstr(b, more[i].name, more[i].value.p ? more[i].value : S(""));
    json_put_close(b, '}');
    json_put_close(b, '}');
}

bool hook_mail(const struct hook_caller *c, struct str said, struct err *e)
{
    struct str output;
    if (hook_call(c, HOOK_SEND_EMAIL, said, &output, e))
        return true;
    bool final =
        strcmp(e->code, "unknown") == 0 && e->status < 499 && e->status != 408 && e->status != 429;
    if (final || e->status == 499)
        return false;
    struct err why = *e;
    err_set(e, 503, "hook_failed", "The mail could not be sent, try again later");
    return err_detail(e, "%s: %s", why.message, why.detail);
}

/* What every token of ours has, and what type (auth.md §2.1). */
static const struct {
    const char *name, *type;
    bool required;
} claim_rows[] = {
    {"aud", "string or array", true},  {"exp", "integer", true},
    {"iat", "integer", true},          {"sub", "string", true},
    {"email", "string", true},         {"phone", "string", true},
    {"role", "string", true},          {"aal", "string", true},
    {"session_id", "string", true},    {"is_anonymous", "boolean", true},
    {"iss", "string", false},          {"nbf", "integer", false},
    {"jti", "string", false},          {"amr", "array", false},
    {"app_metadata", "object", false}, {"user_metadata", "object", false},
};

/* Of a value as it is written; NULL for null. */
static const char *type_of(struct str value)
{
    switch (value.p[0]) {
    case '"':
        return "string";
    case '{':
        return "object";
    case '[':
        return "array";
    case 't':
    case 'f':
        return "boolean";
    case 'n':
        return "null";
    default:
        break;
    }
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] == '.' || value.p[i] == 'e' || value.p[i] == 'E')
            return "number";
    return "integer";
}

static bool claims_check(struct str claims, struct arena *a, struct err *e)
{
    struct buf wrong;
    buf_init_arena(&wrong, a, CLAIMS_TOLD);
    for (size_t i = 0; i < sizeof(claim_rows) / sizeof(claim_rows[0]); i++) {
        struct str value = {0};
        bool there = json_get(claims, claim_rows[i].name, JSON_ANY, &value, a);
        if (!there && claim_rows[i].required)
            buf_printf(&wrong, "- (root): %s is required\n", claim_rows[i].name);
        else if (there && !strstr(claim_rows[i].type, type_of(value)))
            buf_printf(&wrong, "- %s: Invalid type. Expected: %s, given: %s\n", claim_rows[i].name,
                       claim_rows[i].type, type_of(value));
    }
    return wrong.n == 0
           || err_set(e, 500, "unexpected_failure",
                      "output claims do not conform to the expected schema: \n%.*s",
                      STR_ARG(buf_view(&wrong)));
}

bool hook_claims(struct req *req, const struct user *u, struct str claims, const char *method,
                 struct str *out, struct err *e)
{
    struct buf b;
    struct str output;
    buf_init_arena(&b, req->arena, INPUT_MAX);
    json_put_open(&b, '{');
    json_put_kstr(&b, "user_id", uuid_str(&u->id));
    json_put_kraw(&b, "claims", claims);
    json_put_kstr(&b, "authentication_method", str_from(method));
    json_put_close(&b, '}');
    if (b.failed)
        return err_set(e, 413, "request_entity_too_large", "the hook's input is too large");
    if (!hook_run(req, HOOK_CUSTOM_ACCESS_TOKEN, buf_view(&b), &output, e))
        return false;
    if (!json_get(output, "claims", JSON_OBJECT, out, req->arena))
        return err_set(e, 500, "unexpected_failure", "output claims field is missing");
    return claims_check(*out, req->arena, e);
}
