/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_private.h"

#include "base/json.h"

/* The user_* statements select the same columns in the same order; their enums must agree. */
_Static_assert((int)USER_BY_ID_IDENTITIES == USER_COLUMNS - 1 && (int)USER_BY_EMAIL_IDENTITIES == USER_COLUMNS - 1
                   && (int)USER_LIST_IDENTITIES == USER_COLUMNS - 1 && (int)USER_BY_REFRESH_TOKEN_IDENTITIES == USER_COLUMNS - 1,
               "columns of basalt.user_row");

int64_t user_time(const struct pg_result *r, size_t row, unsigned column)
{
    struct str text = pg_row_str(r, row, column);
    int64_t us = pg_row_time(r, row, column);
    if (us != 0 || !text.p)
        return us;
    return text.n > 0 && (text.p[0] == '-' || str_ends(text, S("BC"))) ? 1 : INT64_MAX;
}

static void times_from_row(const struct pg_result *r, size_t row, struct user *u)
{
    struct {
        int64_t *to;
        unsigned column;
    } times[] = {
        {&u->email_confirmed_us, USER_BY_ID_EMAIL_CONFIRMED_AT},
        {&u->phone_confirmed_us, USER_BY_ID_PHONE_CONFIRMED_AT},
        {&u->banned_until_us, USER_BY_ID_BANNED_UNTIL},
        {&u->deleted_us, USER_BY_ID_DELETED_AT},
        {&u->created_us, USER_BY_ID_CREATED_AT},
        {&u->updated_us, USER_BY_ID_UPDATED_AT},
        {&u->invited_us, USER_BY_ID_INVITED_AT},
        {&u->confirmation_sent_us, USER_BY_ID_CONFIRMATION_SENT_AT},
        {&u->recovery_sent_us, USER_BY_ID_RECOVERY_SENT_AT},
        {&u->email_change_sent_us, USER_BY_ID_EMAIL_CHANGE_SENT_AT},
        {&u->phone_change_sent_us, USER_BY_ID_PHONE_CHANGE_SENT_AT},
        {&u->reauthentication_sent_us, USER_BY_ID_REAUTHENTICATION_SENT_AT},
        {&u->last_sign_in_us, USER_BY_ID_LAST_SIGN_IN_AT},
    };
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        *times[i].to = user_time(r, row, times[i].column);
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
        {&u.email_change, USER_BY_ID_EMAIL_CHANGE},
        {&u.phone_change, USER_BY_ID_PHONE_CHANGE},
        {&u.factors, USER_BY_ID_FACTORS},
        {&u.identities, USER_BY_ID_IDENTITIES},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct str value = pg_row_str(r, row, texts[i].column);
        *texts[i].to = arena_str(a, value);
        if (value.p && !texts[i].to->p)
            return err_set(e, 413, "request_entity_too_large", "user is too large");
    }
    uuid_parse(pg_row_str(r, row, USER_BY_ID_ID), &u.id);
    times_from_row(r, row, &u);
    u.is_anonymous = pg_row_bool(r, row, USER_BY_ID_IS_ANONYMOUS);
    u.is_sso = pg_row_bool(r, row, USER_BY_ID_IS_SSO_USER);
    *out = u;
    return true;
}

/* Left out when unset, and when it is beyond our clock ('infinity' is no date either). */
static void put_time(struct buf *b, const char *name, int64_t us)
{
    if (us != 0 && us != 1 && us != INT64_MAX)
        json_put_ktime(b, name, us);
}

static void put_text(struct buf *b, const char *name, struct str s)
{
    if (s.n)
        json_put_kstr(b, name, s);
}

/* The column of that name: the earlier of the two. */
static int64_t confirmed_us(const struct user *u)
{
    int64_t email = u->email_confirmed_us, phone = u->phone_confirmed_us;
    return email && (!phone || email < phone) ? email : phone;
}

/* As json_strip_nulls writes it, which no text inside a string can look like: its quotes are escaped. */
bool user_has_factor(const struct user *u)
{
    size_t at;
    return u->factors.p && str_find(u->factors, S("\"status\":\"verified\""), &at);
}

void user_put_json(struct buf *b, const struct user *u)
{
    json_put_open(b, '{');
    json_put_kstr(b, "id", uuid_str(&u->id));
    json_put_kstr(b, "aud", u->aud);
    json_put_kstr(b, "role", u->role);
    json_put_kstr(b, "email", u->email.p ? u->email : S(""));
    put_time(b, "email_confirmed_at", u->email_confirmed_us);
    put_time(b, "invited_at", u->invited_us);
    json_put_kstr(b, "phone", u->phone.p ? u->phone : S(""));
    put_time(b, "phone_confirmed_at", u->phone_confirmed_us);
    put_time(b, "confirmation_sent_at", u->confirmation_sent_us);
    put_time(b, "confirmed_at", confirmed_us(u));
    put_time(b, "recovery_sent_at", u->recovery_sent_us);
    put_text(b, "new_email", u->email_change);
    put_time(b, "email_change_sent_at", u->email_change_sent_us);
    put_text(b, "new_phone", u->phone_change);
    put_time(b, "phone_change_sent_at", u->phone_change_sent_us);
    put_time(b, "reauthentication_sent_at", u->reauthentication_sent_us);
    put_time(b, "last_sign_in_at", u->last_sign_in_us);
    json_put_kraw(b, "app_metadata", u->app_metadata);
    json_put_kraw(b, "user_metadata", u->user_metadata);
    if (u->factors.p)
        json_put_kraw(b, "factors", u->factors);
    json_put_kraw(b, "identities", u->identities);
    put_time(b, "created_at", u->created_us);
    put_time(b, "updated_at", u->updated_us);
    put_time(b, "banned_until", u->banned_until_us);
    put_time(b, "deleted_at", u->deleted_us);
    json_put_kbool(b, "is_anonymous", u->is_anonymous);
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

bool user_find_locked(struct pg_tx *tx, struct req *req, struct str email, struct user *out,
                      bool *found, struct err *e)
{
    struct str aud = auth_audience(req);
    pg_tx_add(tx, &user_lock_by_email_sql, PG_ARGS(email, aud));
    pg_tx_add(tx, &user_by_email_sql, PG_ARGS(email, aud));
    if (!pg_tx_flush(tx, e))
        return false;
    const struct pg_result *r = pg_tx_result(tx, 1);
    *found = pg_row_count(r) > 0;
    return !*found || user_from_row(r, 0, req->arena, out, e);
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

bool user_phone_normal(struct arena *a, struct str phone, struct str *out, struct err *e)
{
    char *p = arena_alloc(a, phone.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < phone.n; i++)
        if (phone.p[i] != ' ' && !(i == 0 && phone.p[i] == '+'))
            p[n++] = phone.p[i];
    uint64_t digits;
    if (n < 2 || n > 15 || p[0] == '0' || !str_to_u64(str_of(p, n), &digits))
        return err_set(e, 400, "validation_failed", "Invalid phone number format (E.164 required)");
    *out = str_of(p, n);
    return true;
}
