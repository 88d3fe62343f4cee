/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_private.h"

#include "base/json.h"

/* The user_* statements select the same columns in the same order; their enums must agree. */
_Static_assert((int)USER_BY_ID_TAIL == USER_COLUMNS - 1 && (int)USER_BY_EMAIL_TAIL == USER_COLUMNS - 1
                   && (int)USER_LIST_TAIL == USER_COLUMNS - 1 && (int)USER_BY_REFRESH_TOKEN_TAIL == USER_COLUMNS - 1,
               "columns of basalt.user_row");

/* 0 for null alone. SQL may say 'infinity', or a year that our clock does not know: for ever, except
 * for what begins with a minus or ends in BC. */
static int64_t time_set(const struct pg_result *r, size_t row, unsigned column)
{
    struct str text = pg_row_str(r, row, column);
    int64_t us = pg_row_time(r, row, column);
    if (us != 0 || !text.p)
        return us;
    return text.n > 0 && (text.p[0] == '-' || str_ends(text, S("BC"))) ? 1 : INT64_MAX;
}

bool user_from_row(const struct pg_result *r, size_t row, struct arena *a, struct user *out, struct err *e)
{
    struct user u = {0};
    struct {
        struct str *to;
        unsigned column;
    } texts[] = {
        {&u.aud, USER_BY_ID_AUD},
        {&u.role, USER_BY_ID_ROLE},
        {&u.email, USER_BY_ID_EMAIL},
        {&u.phone, USER_BY_ID_PHONE},
        {&u.password, USER_BY_ID_ENCRYPTED_PASSWORD},
        {&u.app_metadata, USER_BY_ID_APP_METADATA},
        {&u.user_metadata, USER_BY_ID_USER_METADATA},
        {&u.head, USER_BY_ID_HEAD},
        {&u.factors, USER_BY_ID_FACTORS},
        {&u.identities, USER_BY_ID_IDENTITIES},
        {&u.tail, USER_BY_ID_TAIL},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct str value = pg_row_str(r, row, texts[i].column);
        *texts[i].to = arena_str(a, value);
        if (value.p && !texts[i].to->p)
            return err_set(e, 413, "request_entity_too_large", "user is too large");
    }
    uuid_parse(pg_row_str(r, row, USER_BY_ID_ID), &u.id);
    u.email_confirmed_us = time_set(r, row, USER_BY_ID_EMAIL_CONFIRMED_AT);
    u.phone_confirmed_us = time_set(r, row, USER_BY_ID_PHONE_CONFIRMED_AT);
    u.banned_until_us = time_set(r, row, USER_BY_ID_BANNED_UNTIL);
    u.deleted_us = time_set(r, row, USER_BY_ID_DELETED_AT);
    u.created_us = pg_row_time(r, row, USER_BY_ID_CREATED_AT);
    u.is_anonymous = pg_row_bool(r, row, USER_BY_ID_IS_ANONYMOUS);
    u.is_sso = pg_row_bool(r, row, USER_BY_ID_IS_SSO_USER);
    *out = u;
    return true;
}

/* The members of a JSON object's text, without its braces. */
static struct str members(struct str object)
{
    return object.n >= 2 ? str_of(object.p + 1, object.n - 2) : (struct str){0};
}

void user_put_json(struct buf *b, const struct user *u)
{
    json_put_open(b, '{');
    json_put_raw(b, members(u->head));
    json_put_kraw(b, "app_metadata", u->app_metadata);
    json_put_kraw(b, "user_metadata", u->user_metadata);
    if (u->factors.p)
        json_put_kraw(b, "factors", u->factors);
    json_put_kraw(b, "identities", u->identities);
    buf_char(b, ',');
    json_put_raw(b, members(u->tail));
    json_put_close(b, '}');
}

static bool user_only(struct pg_tx *tx, struct req *req, struct user *out, struct err *e)
{
    const struct pg_result *r = pg_tx_result(tx, 0);
    if (pg_row_count(r) == 0)
        return err_set(e, 404, "user_not_found", "User not found");
    return user_from_row(r, 0, req->arena, out, e);
}

bool user_load(struct req *req, struct str id, struct user *out, struct err *e)
{
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &user_by_id_sql, PG_ARGS(id));
    return pg_tx_commit(&tx, e) && user_only(&tx, req, out, e);
}

bool user_load_by_email(struct req *req, struct str email, struct user *out, struct err *e)
{
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &user_by_email_sql, PG_ARGS(email, auth_audience(req)));
    return pg_tx_commit(&tx, e) && user_only(&tx, req, out, e);
}

bool user_confirmed(const struct user *u)
{
    return u->email_confirmed_us || u->phone_confirmed_us;
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool local_part_ok(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_alnum(s.p[i]) && (s.p[i] == '\0' || !strchr(".!#$%&'*+/=?^_`{|}~-", s.p[i])))
            return false;
    return s.n > 0;
}

/* Labels of 1..63 letters, digits and inner hyphens; one label is enough (HTML living standard, e-mail state). */
static bool domain_ok(struct str s)
{
    struct str label;
    for (bool more = true; more;) {
        more = str_cut(s, '.', &label, &s);
        if (label.n == 0 || label.n > 63 || label.p[0] == '-' || label.p[label.n - 1] == '-')
            return false;
        for (size_t i = 0; i < label.n; i++)
            if (!is_alnum(label.p[i]) && label.p[i] != '-')
                return false;
    }
    return true;
}

bool user_email_normal(struct arena *a, struct str email, struct str *out, struct err *e)
{
    struct str local, domain;
    if (email.n == 0)
        return err_set(e, 400, "validation_failed", "An email address is required");
    if (email.n > 255)
        return err_set(e, 400, "validation_failed", "An email address is too long");
    if (!str_cut(email, '@', &local, &domain) || !local_part_ok(local) || !domain_ok(domain))
        return err_set(e, 400, "validation_failed", "Unable to validate email address: invalid format");
    char *p = arena_alloc(a, email.n + 1);
    for (size_t i = 0; i < email.n; i++)
        p[i] = email.p[i] >= 'A' && email.p[i] <= 'Z' ? (char)(email.p[i] + 32) : email.p[i];
    *out = str_of(p, email.n);
    return true;
}

bool user_password_check(const struct auth_config *c, struct str password, struct err *e)
{
    if ((int64_t)password.n >= c->password_min)
        return true;
    return err_set(e, 422, "weak_password", "Password should be at least %lld characters.", (long long)c->password_min);
}
