/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes the mails of the outbox to the mail server: read in one transaction, sent without any, settled
 * in another together with the end of the job. A node that dies between the last two sends again,
 * under the same Message-ID.
 */
#include "auth/hook.h"
#include "auth/letter.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/rand.h"
#include "http/smtp.h"
#include "jobs/jobs.h"
#include "ops/breaker.h"
#include "ops/metrics.h"
#include "runtime/fiber.h"

enum { HEADERS_MAX = 8 * 1024 };
static const int64_t rest_us = 5 * CLOCK_S; /* and up to twice that, while its breaker is open */

struct posted {
    struct uuid id;
    enum mail_kind kind;
    struct str recipient, data;
    int64_t created_us;
};

static void count(const char *result)
{
    metrics_add(METRIC_mails, metrics_label(METRIC_mails, str_from(result)), 1);
}

/* *wanted false: sent already, given up, too late or purged. */
static bool read(struct job *j, struct posted *out, bool *wanted, struct err *e)
{
    struct str id, data;
    if (!json_get(j->payload, "id", JSON_UUID, &id, j->arena) || !uuid_parse(id, &out->id))
        return err_set(e, 500, "job_malformed", "a mail's job names no mail");
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, j->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &mail_read_sql, PG_ARGS(id));
    if (!pg_tx_commit(&tx, e))
        return false;
    const struct pg_result *r = pg_tx_result(&tx, 0);
    *wanted = pg_row_count(r) > 0 && str_is(pg_row_str(r, 0, MAIL_READ_STATE), "waiting")
              && pg_row_bool(r, 0, MAIL_READ_LIVE) && !pg_row_null(r, 0, MAIL_READ_DATA);
    if (!*wanted)
        return true;
    data = pg_row_str(r, 0, MAIL_READ_DATA);
    out->recipient = arena_str(j->arena, pg_row_str(r, 0, MAIL_READ_RECIPIENT));
    out->data = arena_str(j->arena, data);
    out->created_us = pg_row_time(r, 0, MAIL_READ_CREATED_AT);
    if (!letter_kind(pg_row_str(r, 0, MAIL_READ_KIND), &out->kind) || !out->data.p)
        return err_set(e, 500, "job_malformed", "a mail of an unknown kind, or too large");
    return true;
}

/* {"X-Name": "value"} of the setting, as GoTrue's: "$messageType" is the kind of mail. */
static struct str headers_of(const struct auth_config *c, enum mail_kind kind, struct arena *a)
{
    struct buf b;
    struct str rest = c->mail_headers, name, value, text;
    if (!rest.p)
        return rest;
    buf_init_arena(&b, a, HEADERS_MAX);
    while (json_next(&rest, a, &name, &value)) {
        text = (struct str){0};
        if (value.n > 1
            && value.p[0] == '[') /* GoTrue has lists; one value is all that mails use */
            value = str_trim(str_of(value.p + 1, value.n - 2));
        struct str wrapped = arena_printf(a, "{\"v\":%.*s}", STR_ARG(value));
        if (!json_get(wrapped, "v", JSON_STR, &text, a))
            continue;
        if (str_is(text, "$messageType"))
            text = str_from(letter_kind_name(kind));
        buf_printf(&b, "%.*s: %.*s\r\n", STR_ARG(name), STR_ARG(text));
    }
    return b.failed ? (struct str){0} : buf_view(&b);
}

/* The app's own hook sends it: told of as it was queued. False: it is not for a hook. */
static bool for_hook(const struct auth *auth, struct job *j, const struct posted *p, struct str *said)
{
    return hook_enabled(auth, HOOK_SEND_EMAIL)
           && json_get(p->data, "Hook", JSON_OBJECT, said, j->arena);
}

static bool send(const struct auth *auth, struct job *j, const struct posted *p, struct err *e)
{
    struct str said;
    if (for_hook(auth, j, p, &said))
        return hook_mail(&(struct hook_caller){.auth = auth, .pg = j->pg, .arena = j->arena}, said, e);
    if (!auth->config.smtp.host.p)
        return err_set(e, 503, "smtp_temporary", "no mail server is set, and no hook was when this was queued");
    const struct auth_config *c = &auth->config;
    struct letter letter;
    struct str at, domain;
    if (!letter_render(auth->letters, p->kind, p->data, j->arena, &letter, e))
        return false;
    str_cut(c->mail_from, '@', &at, &domain);
    struct smtp_message m = {
        .from = c->mail_from,
        .from_name = c->mail_from_name,
        .to = p->recipient,
        .subject = letter.subject,
        .html = letter.html,
        .headers = headers_of(c, p->kind, j->arena),
        .message_id = arena_printf(j->arena, "%s@%.*s", p->id.text, STR_ARG(domain)),
        .date_us = p->created_us,
    };
    return smtp_send(&c->smtp, &m, e);
}

static bool settle(struct job *j, const struct posted *p, const char *state, struct str error,
                   struct err *e)
{
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, j->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &mail_settle_sql, PG_ARGS(uuid_str(&p->id), str_from(state), error));
    if (strcmp(state, "waiting") != 0)
        jobs_done_in(j, &tx);
    return pg_tx_commit(&tx, e);
}

/* For the operator, who sees it in `basalt mail list`: with the mail server's own words. */
static struct str reason(const struct err *why)
{
    return str_from(why->detail[0] ? why->detail : why->message);
}

static void log_failed(const struct posted *p, const struct err *why)
{
    struct log_line l;
    log_begin(&l, LOG_WARN, "mail.failed");
    log_cstr(&l, "mail", p->id.text);
    log_cstr(&l, "kind", letter_kind_name(p->kind));
    log_cstr(&l, "message", why->message);
    log_err(&l, why);
    log_end(&l);
}

/* What is no fault of this mail comes again later; the rest is over, and no alarm: addresses are mistyped. */
static bool failed(struct job *j, const struct posted *p, const struct err *why, struct err *e)
{
    bool for_now = why->status >= 499 && strcmp(why->code, "smtp_rejected") != 0;
    struct err late;
    if (why->status == 499 || (for_now && !j->last)) { /* 499: we stop */
        count("deferred");
        (void)!settle(j, p, "waiting", reason(why), &late);
        *e = *why;
        return false;
    }
    count("failed");
    log_failed(p, why);
    return settle(j, p, "failed", reason(why), e);
}

/* What was sent is not sent again for want of a row: while PostgreSQL restarts, this waits for it. */
static bool sent(struct job *j, const struct posted *p, struct err *e)
{
    count("sent");
    while (!settle(j, p, "sent", (struct str){0}, e))
        if (fiber_sleep(CLOCK_S) != FIBER_LATE || fiber_time_left_us() == 0)
            return false;
    return true;
}

/* Nobody answers there: no attempt is spent on it. */
static bool server_up(const struct auth *auth, struct job *j, struct err *e)
{
    enum breaker_id by =
        hook_enabled(auth, HOOK_SEND_EMAIL) ? BREAKER_hook_mail : BREAKER_smtp;
    if (breaker_state(breaker_named(by)) != BREAKER_OPEN)
        return true;
    j->postpone_us = rest_us + rand_below((uint32_t)rest_us);
    return err_set(e, 503, "smtp_temporary",
                   "the mail server has failed too often and is not called for now");
}

bool postman_deliver(struct job *j, struct err *e)
{
    const struct auth *auth = ((struct services *)j->ctx)->auth;
    struct posted p = {0};
    struct err why = {0};
    bool wanted = false;
    if (!server_up(auth, j, e) || !read(j, &p, &wanted, e))
        return false;
    if (!wanted)
        return true;
    if (!send(auth, j, &p, &why))
        return failed(j, &p, &why, e);
    return sent(j, &p, e);
}
