/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/mailer.h"

#include <stdlib.h>

#include "auth/hook.h"
#include "auth/letter.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/url.h"
#include "guard/quota.h"
#include "jobs/jobs.h"

enum {
    DATA_MAX = 4 * 1024 * 1024, /* over a user's metadata at its largest */
    LINK_MAX = 16 * 1024,
};
static const int64_t life_us =
    24 * 3600 * CLOCK_S; /* of what is not sent; its token's where that is shorter */

/* ---- ConfirmationURL ------------------------------------------------------------------------ */

/*
 * Another name of ours that the proxy in front was asked for: believed only when it is listed, since
 * whoever may choose the host of a link gets the token in it.
 */
static bool forwarded_host(const struct req *req, struct str *host)
{
    struct str listed = auth_config_of(req)->mailer_external_hosts, name, port;
    uint64_t number;
    if (!req->head || !listed.n)
        return false;
    *host = req_header(req, S("x-forwarded-host"));
    bool has_port = str_cut(*host, ':', &name, &port);
    return str_list_has(listed, *host)
           || (str_list_has(listed, name)
               && (!has_port || (str_to_u64(port, &number) && number <= UINT16_MAX)));
}

static void put_base(struct buf *b, const struct req *req)
{
    struct str host, base = auth_config_of(req)->api_url;
    if (forwarded_host(req, &host)) {
        bool plain = str_is(req_header(req, S("x-forwarded-proto")), "http");
        buf_printf(b, "%s://%.*s", plain ? "http" : "https", STR_ARG(host));
        return;
    }
    if (str_ends(base, S("/")))
        base.n--;
    if (str_ends(base, S("/auth/v1"))) /* as GoTrue is told its own; our paths have it */
        base.n -= strlen("/auth/v1");
    buf_str(b, base);
}

static bool needs_escape(struct str url)
{
    size_t at;
    return str_find_char(url, '&', &at) || str_find_char(url, '=', &at)
           || str_find_char(url, '#', &at);
}

struct str mailer_link(struct req *req, const struct mail *m)
{
    const struct auth_config *c = auth_config_of(req);
    struct str path = c->mailer_paths[letter_path(m->kind)];
    struct str target = m->redirect_to.p ? m->redirect_to : c->site_url;
    struct buf b;
    if (letter_path(m->kind) == MAIL_PATH_none || !m->token_hash.p)
        return (struct str){0};
    buf_init_arena(&b, req->arena, LINK_MAX);
    if (!str_starts(path, S("http://")) && !str_starts(path, S("https://")))
        put_base(&b, req);
    if (!str_starts(path, S("/")) && b.n > 0)
        buf_char(&b, '/');
    buf_str(&b, path);
    BUF_LIT(&b, "?token=");
    url_encode(&b, m->token_hash);
    buf_printf(&b, "&type=%s&redirect_to=", m->verify_type);
    if (needs_escape(target)) /* GoTrue's rule: what has none of these was escaped by its sender */
        url_encode(&b, target);
    else
        buf_str(&b, target);
    return b.failed ? (struct str){0} : buf_view(&b);
}

/* ---- outbox ---------------------------------------------------------------------------------- */

static void put(struct buf *b, const char *name, struct str value)
{
    if (value.n > 0)
        json_put_kstr(b, name, value);
}

/* What the templates may show, by its name there. */
static struct str data_of(struct req *req, const struct mail *m)
{
    const struct auth_config *c = auth_config_of(req);
    struct buf b;
    buf_init_arena(&b, req->arena, DATA_MAX);
    json_put_open(&b, '{');
    put(&b, "SiteURL", c->site_url);
    put(&b, "ConfirmationURL", mailer_link(req, m));
    put(&b, "Email", m->user ? m->user->email : m->to);
    put(&b, "SendingTo", m->to);
    put(&b, "NewEmail", m->new_email);
    put(&b, "Token", m->otp);
    put(&b, "TokenHash", m->token_hash);
    put(&b, "Type", str_from(m->verify_type));
    put(&b, "RedirectTo", m->redirect_to.p ? m->redirect_to : c->site_url);
    put(&b, "OldEmail", m->old_email);
    put(&b, "Phone", m->phone);
    put(&b, "OldPhone", m->old_phone);
    put(&b, "Provider", m->provider);
    put(&b, "FactorType", m->factor_type);
    json_put_kraw(&b, "Data",
                  m->user && m->user->user_metadata.p ? m->user->user_metadata : S("{}"));
    if (hook_enabled(auth_of(req), HOOK_SEND_EMAIL)) {
        json_put_key(&b, "Hook");
        hook_mail_input(&b, req, m);
    }
    json_put_close(&b, '}');
    return b.failed ? (struct str){0} : buf_view(&b);
}

static bool authorized(const struct auth_config *c, struct str to)
{
    return c->mailer_authorized.n == 0 || str_list_has(c->mailer_authorized, to);
}

/*
 * A notice tells of what has happened: it is no reason to refuse that, and no limit that a thief
 * could use up first holds it back.
 */
static bool notice_goes(const struct auth_config *c, const struct mail *m)
{
    return (c->mailer_notifications >> m->kind & 1U) && m->to.n > 0 && authorized(c, m->to);
}

static bool may_ask(struct req *req, const struct mail *m, struct err *e)
{
    if (!authorized(auth_config_of(req), m->to))
        return err_set(e, 400, "email_address_not_authorized",
                       "Email address \"%.*s\" cannot be used as it is not authorized",
                       STR_ARG(m->to));
    return quota_mail(req, m->to, e);
}

bool mailer_queue(struct pg_tx *tx, struct req *req, const struct mail *m, struct err *e)
{
    const struct auth_config *c = auth_config_of(req);
    struct uuid id = uuid_v7();
    bool notice = m->kind >= MAIL_FIRST_NOTICE;
    if (notice && !notice_goes(c, m))
        return true;
    if (m->told_with_other && hook_enabled(auth_of(req), HOOK_SEND_EMAIL))
        return true;
    if (!notice && !may_ask(req, m, e))
        return false;
    int64_t life = notice || c->otp_life_us > life_us ? life_us : c->otp_life_us;
    struct str data = data_of(req, m);
    if (!data.p)
        return err_set(e, 413, "request_entity_too_large", "the mail is too large");
    pg_tx_add(tx, &mail_insert_sql,
              PG_ARGS(uuid_str(&id), str_from(letter_kind_name(m->kind)), m->to,
                      m->user ? uuid_str(&m->user->id) : (struct str){0}, data,
                      pg_tx_time(tx, req->now_us + life)));
    jobs_add(tx, "mail", arena_printf(req->arena, "{\"id\":\"%s\"}", id.text), 0);
    return true;
}
