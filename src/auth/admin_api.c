/* SPDX-License-Identifier: Apache-2.0 */
/* /auth/v1/admin/users: users by a service key. Source: GoTrue admin.go; auth.md §1.9. */
#include "auth/auth_api.h"

#include "base/json.h"
#include "base/rand.h"
#include "base/url.h"
#include "crypto/password.h"

struct admin_in {
    struct str id, aud, role, email, phone, password, password_hash, user_metadata, app_metadata, ban_duration;
    enum json_bool email_confirm, phone_confirm;
};

static const struct json_field admin_fields[] = {
    JSON_FIELD(struct admin_in, id, JSON_STR, 64, 0),
    JSON_FIELD(struct admin_in, aud, JSON_STR, 255, 0),
    JSON_FIELD(struct admin_in, role, JSON_STR, 255, 0),
    JSON_FIELD(struct admin_in, email, JSON_STR, 1024, 0),
    JSON_FIELD(struct admin_in, phone, JSON_STR, 64, 0),
    JSON_FIELD(struct admin_in, password, JSON_SECRET, 4096, 0),
    JSON_FIELD(struct admin_in, password_hash, JSON_SECRET, 255, 0),
    JSON_FIELD(struct admin_in, user_metadata, JSON_OBJECT, AUTH_BODY_MAX, 0),
    JSON_FIELD(struct admin_in, app_metadata, JSON_OBJECT, AUTH_BODY_MAX, 0),
    JSON_FIELD(struct admin_in, ban_duration, JSON_STR, 64, 0),
    JSON_FIELD(struct admin_in, email_confirm, JSON_BOOL, 0, 0),
    JSON_FIELD(struct admin_in, phone_confirm, JSON_BOOL, 0, 0),
};

static const struct json_shape admin_shape = {admin_fields, sizeof(admin_fields) / sizeof(admin_fields[0]), false};

enum { GENERATED_PASSWORD = 64, PER_PAGE = 50, PER_PAGE_MAX = 1000, LINK_MAX = 32 * 1024 };

static bool ban_until(const struct req *req, struct str duration, int64_t *out, struct err *e)
{
    int64_t us = 0;
    if (!str_is(duration, "none") && (!str_to_duration_us(duration, &us) || us > INT64_MAX - req->now_us))
        return err_set(e, 400, "validation_failed", "invalid format for ban duration: \"%.*s\"", STR_ARG(duration));
    *out = us ? req->now_us + us : 0;
    return true;
}

static bool contact_normal(struct req *req, struct admin_in *in, struct err *e)
{
    if (in->email.n && !user_email_normal(req->arena, in->email, &in->email, e))
        return false;
    return !in->phone.n || user_phone_normal(req->arena, in->phone, &in->phone, e);
}

static bool password_form(const struct admin_in *in, struct err *e)
{
    if (in->password.n && in->password_hash.n)
        return err_set(e, 400, "validation_failed", "Only a password or a password hash should be provided");
    if (in->password_hash.n && !password_hash_known(in->password_hash))
        return err_set(e, 400, "validation_failed", "Password hash is not of a known form");
    return true;
}

static bool admin_read(struct req *req, struct admin_in *in, struct err *e)
{
    return json_read(req->body, &admin_shape, in, req->arena, e) && contact_normal(req, in, e)
           && password_form(in, e);
}

static bool send_user(struct resp *resp, const struct user *u, struct err *e)
{
    user_put_json(resp_json(resp, 200), u);
    return resp_done(resp, e);
}

static struct str generated_password(struct req *req)
{
    char *p = arena_alloc(req->arena, GENERATED_PASSWORD + 1);
    rand_text(p, GENERATED_PASSWORD, S("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"));
    return str_of(p, GENERATED_PASSWORD);
}

static bool id_given(const struct admin_in *in, struct uuid *out, struct err *e)
{
    if (!in->id.n)
        return true;
    if (!uuid_parse(in->id, out) || str_is(in->id, UUID_NIL))
        return err_set(e, 400, "validation_failed", "ID must conform to the uuid v4 format");
    return true;
}

bool admin_api_create(struct req *req, struct resp *resp, struct err *e)
{
    struct admin_in in = {0};
    struct signup s = {.actor_kind = "service", .quiet = true};
    if (!admin_read(req, &in, e) || !id_given(&in, &s.id, e)
        || (in.ban_duration.n && !ban_until(req, in.ban_duration, &s.banned_until_us, e)))
        return false;
    if (!in.email.n && !in.phone.n)
        return err_set(e, 400, "validation_failed", "Cannot create a user without either an email or phone");
    s.email = in.email.n ? in.email : (struct str){0};
    s.phone = in.phone.n ? in.phone : (struct str){0};
    s.aud = in.aud.n ? in.aud : (struct str){0};
    s.role = in.role.n ? in.role : (struct str){0};
    s.password_hash = in.password_hash.n ? in.password_hash : (struct str){0};
    s.password = in.password.n ? in.password : (struct str){0};
    if (!s.password.p && !s.password_hash.p)
        s.password = generated_password(req);
    s.user_metadata = in.user_metadata;
    s.app_metadata = in.app_metadata;
    s.email_confirmed = in.email_confirm == JSON_TRUE;
    s.phone_confirmed = in.phone_confirm == JSON_TRUE;
    struct login l;
    return signup_run(req, &s, &l, e) && send_user(resp, &l.user, e);
}

static bool id_of(const struct req *req, struct uuid *out, struct err *e)
{
    if (uuid_parse(req->params[0], out))
        return true;
    return err_set(e, 404, "validation_failed", "user_id must be an UUID");
}

bool admin_api_get(struct req *req, struct resp *resp, struct err *e)
{
    struct uuid id;
    struct user u;
    return id_of(req, &id, e) && user_load(req, uuid_str(&id), &u, e) && send_user(resp, &u, e);
}

bool admin_api_update(struct req *req, struct resp *resp, struct err *e)
{
    struct admin_in in = {0};
    struct uuid id;
    struct user u;
    struct user_change c = {.actor_kind = "service"};
    if (!id_of(req, &id, e) || !admin_read(req, &in, e)
        || (in.ban_duration.n && !ban_until(req, in.ban_duration, &c.banned_until_us, e)))
        return false;
    c.set_ban = in.ban_duration.n > 0;
    c.role = in.role;
    c.email = in.email;
    c.phone = in.phone;
    c.password = in.password;
    c.password_hash = in.password_hash;
    c.app_metadata = in.app_metadata;
    c.user_metadata = in.user_metadata;
    c.confirm_email = in.email_confirm == JSON_TRUE;
    c.confirm_phone = in.phone_confirm == JSON_TRUE;
    return user_admin_update(req, uuid_str(&id), &c, &u, e) && send_user(resp, &u, e);
}

struct delete_in {
    enum json_bool should_soft_delete;
};

static const struct json_field delete_fields[] = {
    JSON_FIELD(struct delete_in, should_soft_delete, JSON_BOOL, 0, 0),
};

static const struct json_shape delete_shape = {delete_fields, 1, false};

bool admin_api_delete(struct req *req, struct resp *resp, struct err *e)
{
    struct delete_in in = {0};
    struct uuid id;
    if (!id_of(req, &id, e) || (req->body.n && !json_read(req->body, &delete_shape, &in, req->arena, e))
        || !user_admin_delete(req, uuid_str(&id), in.should_soft_delete == JSON_TRUE, "service", e))
        return false;
    BUF_LIT(resp_json(resp, 200), "{}");
    return resp_done(resp, e);
}

/* An empty value counts as absent. */
static bool number_of(struct req *req, const char *name, int64_t fallback, int64_t max, int64_t *out, struct err *e)
{
    struct str s = req_query(req, name);
    *out = fallback;
    if (!s.n)
        return true;
    if (!str_to_i64(s, out) || *out < 0)
        return err_set(e, 400, "validation_failed", "Bad Pagination Parameters: %s must be a number from 0", name);
    if (*out == 0)
        *out = fallback;
    if (*out > max)
        *out = max;
    return true;
}

static bool order_of(struct req *req, bool *ascending, struct err *e)
{
    struct str sort = req_query(req, "sort"), column, direction;
    str_cut(sort, ' ', &column, &direction);
    *ascending = str_is(direction, "asc") || (sort.n && !direction.n);
    bool ok = !sort.n || (str_is(column, "created_at") && (!direction.n || *ascending || str_is(direction, "desc")));
    return ok || err_set(e, 400, "validation_failed", "Bad Sort Parameters: only created_at asc or desc");
}

bool admin_api_page(struct req *req, struct admin_page *out, struct err *e)
{
    return number_of(req, "page", 1, INT32_MAX, &out->number, e)
           && number_of(req, "per_page", PER_PAGE, PER_PAGE_MAX, &out->size, e);
}

/* The other parameters of the query as they came, but for what would end the link. */
static void put_others(struct buf *b, struct str query)
{
    size_t at;
    struct str pair;
    for (bool more = query.n > 0; more;) {
        more = str_cut(query, '&', &pair, &query);
        if (pair.n > 0 && !str_starts(pair, S("page=")) && !str_starts(pair, S("per_page="))
            && !str_find_char(pair, '>', &at)) {
            buf_char(b, '&');
            buf_str(b, pair);
        }
    }
}

static void put_link(struct buf *b, const struct req *req, const char *path, int64_t number,
                     int64_t size)
{
    buf_printf(b, "<%s?page=%lld&per_page=%lld", path, (long long)number, (long long)size);
    put_others(b, req->query);
}

void admin_api_page_headers(const struct req *req, struct resp *resp, const char *path,
                            const struct admin_page *page, int64_t total)
{
    int64_t last = total == 0 ? 1 : (total + page->size - 1) / page->size;
    struct buf link;
    buf_init_arena(&link, resp->arena, LINK_MAX);
    if (page->number < last) {
        put_link(&link, req, path, page->number + 1, page->size);
        BUF_LIT(&link, ">; rel=\"next\", ");
    }
    put_link(&link, req, path, last, page->size);
    BUF_LIT(&link, ">; rel=\"last\"");
    if (!link.failed)
        resp_header(resp, "Link", buf_view(&link));
    resp_header_i64(resp, "X-Total-Count", total);
}

bool admin_api_list(struct req *req, struct resp *resp, struct err *e)
{
    struct admin_page page;
    bool ascending;
    struct user_page got;
    if (!admin_api_page(req, &page, e) || !order_of(req, &ascending, e)
        || !user_admin_list(req, req_query(req, "filter"), ascending, page.number, page.size, &got, e))
        return false;
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_key(b, "users");
    json_put_open(b, '[');
    for (size_t i = 0; i < got.count; i++)
        user_put_json(b, &got.users[i]);
    json_put_close(b, ']');
    json_put_kstr(b, "aud", auth_audience(req));
    json_put_close(b, '}');
    admin_api_page_headers(req, resp, "/admin/users", &page, got.total);
    return resp_done(resp, e);
}
