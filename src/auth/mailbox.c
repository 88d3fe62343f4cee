/* SPDX-License-Identifier: Apache-2.0 */
/* The outbox as the command line sees it. */
#include "auth/auth_private.h"
#include "auth/letter.h"
#include "base/json.h"

enum { DATA_MAX = 64 * 1024 };

static bool not_found(struct str id, struct err *e)
{
    return err_set(e, 404, "mail_not_found", "there is no mail %.*s", id.n > 60 ? 60 : (int)id.n,
                   id.p);
}

bool mailbox_list(struct req *req, struct str recipient, int64_t most, struct mail_row **out,
                  size_t *count, struct err *e)
{
    struct arena *a = req->arena;
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &mail_list_sql, PG_ARGS(recipient, pg_tx_i64(&tx, most)));
    if (!pg_tx_commit(&tx, e))
        return false;
    const struct pg_result *r = pg_tx_result(&tx, 0);
    *count = pg_row_count(r);
    *out = arena_new(a, struct mail_row, *count + 1);
    for (size_t i = 0; i < *count; i++)
        (*out)[i] = (struct mail_row){
            .id = arena_str(a, pg_row_str(r, i, MAIL_LIST_ID)),
            .kind = arena_str(a, pg_row_str(r, i, MAIL_LIST_KIND)),
            .state = arena_str(a, pg_row_str(r, i, MAIL_LIST_STATE)),
            .recipient = arena_str(a, pg_row_str(r, i, MAIL_LIST_RECIPIENT)),
            .last_error = arena_str(a, pg_row_str(r, i, MAIL_LIST_LAST_ERROR)),
            .created_at = arena_str(a, pg_row_str(r, i, MAIL_LIST_CREATED_AT)),
            .attempts = pg_row_i64(r, i, MAIL_LIST_ATTEMPTS),
        };
    return true;
}

static bool render(struct req *req, struct str kind, struct str data, struct str *subject,
                   struct str *html, struct err *e)
{
    enum mail_kind k;
    struct letter l;
    if (!letter_kind(kind, &k))
        return err_set(e, 404, "mail_kind_unknown", "there is no kind of mail %.*s",
                       kind.n > 60 ? 60 : (int)kind.n, kind.p);
    if (!letter_render(auth_of(req)->letters, k, data, req->arena, &l, e))
        return false;
    *subject = l.subject;
    *html = l.html;
    return true;
}

bool mailbox_show(struct req *req, struct str id, struct mail_row *out, struct str *subject,
                  struct str *html, struct err *e)
{
    struct arena *a = req->arena;
    if (!uuid_valid(id))
        return not_found(id, e);
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &mail_read_sql, PG_ARGS(id));
    if (!pg_tx_commit(&tx, e))
        return false;
    const struct pg_result *r = pg_tx_result(&tx, 0);
    if (pg_row_count(r) == 0)
        return not_found(id, e);
    *out = (struct mail_row){
        .id = id,
        .kind = arena_str(a, pg_row_str(r, 0, MAIL_READ_KIND)),
        .state = arena_str(a, pg_row_str(r, 0, MAIL_READ_STATE)),
        .recipient = arena_str(a, pg_row_str(r, 0, MAIL_READ_RECIPIENT)),
        .created_at = arena_str(a, pg_row_str(r, 0, MAIL_READ_CREATED_AT)),
        .data = arena_str(a, pg_row_str(r, 0, MAIL_READ_DATA)),
    };
    return !out->data.p || render(req, out->kind, out->data, subject, html, e);
}

bool mailbox_retry(struct req *req, struct str id, struct err *e)
{
    if (!uuid_valid(id))
        return not_found(id, e);
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &mail_read_sql, PG_ARGS(id));
    pg_tx_add(&tx, &mail_reopen_sql, PG_ARGS(id));
    if (!pg_tx_flush(&tx, e))
        return false;
    if (pg_row_count(pg_tx_result(&tx, 0)) == 0)
        return not_found(id, e);
    if (pg_row_count(pg_tx_result(&tx, 1)) == 0)
        return err_set(e, 409, "mail_over", "that mail was sent, or what it said is forgotten");
    pg_tx_add(&tx, &mail_requeue_sql, PG_ARGS(id));
    return pg_tx_commit(&tx, e);
}

bool mailbox_preview(struct req *req, struct str kind, struct str data, struct str *subject,
                     struct str *html, struct err *e)
{
    const struct auth_config *c = auth_config_of(req);
    struct str merged, site = c->site_url.n ? c->site_url : S("https://app.example.com");
    struct buf b;
    buf_init_arena(&b, req->arena, DATA_MAX);
    json_put_open(&b, '{');
    json_put_kstr(&b, "SiteURL", site);
    json_put_kstr(&b, "ConfirmationURL",
                  S("https://api.example.com/auth/v1/verify?token=0123456789abcdef&type=signup"
                    "&redirect_to=https://app.example.com"));
    json_put_kstr(&b, "Email", S("ada@example.com"));
    json_put_kstr(&b, "SendingTo", S("ada@example.com"));
    json_put_kstr(&b, "NewEmail", S("ada.new@example.com"));
    json_put_kstr(&b, "OldEmail", S("ada.old@example.com"));
    json_put_kstr(&b, "Token", S("123456"));
    json_put_kstr(&b, "TokenHash", S("0123456789abcdef"));
    json_put_kstr(&b, "RedirectTo", site);
    json_put_kstr(&b, "Phone", S("15550100"));
    json_put_kstr(&b, "OldPhone", S("15550199"));
    json_put_kstr(&b, "Provider", S("google"));
    json_put_kstr(&b, "FactorType", S("totp"));
    json_put_kraw(&b, "Data", S("{\"name\":\"Ada\"}"));
    json_put_close(&b, '}');
    return json_merge(buf_view(&b), data.p ? data : S("{}"), req->arena, &merged, e)
           && render(req, kind, merged, subject, html, e);
}
