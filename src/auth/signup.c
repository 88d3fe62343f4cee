/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/hook.h"
#include "auth/redirect.h"
#include "auth/token_mail.h"

#include "base/json.h"
#include "base/url.h"

enum { METADATA_MAX = 1024 * 1024, NUMBER_MAX = 32 /* characters */ };

/* ---- profile fields: one list says which there are and what they take -------------------- */

struct profile_field {
    struct str name;
    enum json_type type;
    size_t max; /* bytes of text, or the largest number */
};

static const struct profile_field profile_fields[] = {
    {S_INIT("name"), JSON_STR, 255},      {S_INIT("role"), JSON_STR, 63},
    {S_INIT("full_name"), JSON_STR, 255}, {S_INIT("avatar_url"), JSON_STR, 2048},
    {S_INIT("country"), JSON_STR, 64},    {S_INIT("annual_income"), JSON_NUMBER, 10000000},
    {S_INIT("timezone"), JSON_STR, 64},   {S_INIT("state"), JSON_STR, 64},
    {S_INIT("zip_code"), JSON_STR, 16},
};

bool signup_profile_writable(const struct auth *a, struct str name)
{
    return str_list_has(a->config.profile_fields, name);
}

/* A writable field that is not in the table is a column of the app's own: any text of at most 1 KiB. */
static struct profile_field field_of(struct str name)
{
    for (size_t i = 0; i < sizeof(profile_fields) / sizeof(profile_fields[0]); i++)
        if (str_eq(profile_fields[i].name, name))
            return profile_fields[i];
    return (struct profile_field){name, JSON_ANY, 1024};
}

/* A plain decimal in [0, max]: no sign, and no exponent, which says little in its first digits. */
static bool number_fits(struct str text, size_t max)
{
    struct str whole, rest;
    uint64_t v;
    str_cut(text, '.', &whole, &rest);
    if (text.n > NUMBER_MAX || !str_to_u64(whole, &v))
        return false;
    for (size_t i = 0; i < rest.n; i++)
        if (rest.p[i] < '0' || rest.p[i] > '9' || (v == max && rest.p[i] != '0'))
            return false;
    return v <= max;
}

static bool is_https_url(struct str text)
{
    struct url_parts u;
    return url_parse(text, &u) && str_eq_nocase(u.scheme, S("https")) && u.host.n > 0 && !u.userinfo.p;
}

bool signup_profile_check(const struct auth *a, struct str name, struct str value,
                          struct arena *arena, struct err *e)
{
    struct profile_field f = field_of(name);
    if (f.type == JSON_ANY)
        return value.n <= f.max
               || err_set(e, 422, "validation_failed", "%.*s is too long", STR_ARG(name));
    struct str member = arena_printf(arena, "{\"v\":%.*s}", STR_ARG(value)), got = {0};
    if (!json_get(member, "v", f.type, &got, arena))
        return err_set(e, 422, "validation_failed", "%.*s must be a %s", STR_ARG(name),
                       f.type == JSON_NUMBER ? "number" : "string");
    if (f.type == JSON_NUMBER)
        return number_fits(got, f.max)
               || err_set(e, 422, "validation_failed", "%.*s must be a number from 0 to %zu",
                          STR_ARG(name), f.max);
    if (got.n > f.max)
        return err_set(e, 422, "validation_failed", "%.*s must be at most %zu bytes", STR_ARG(name),
                       f.max);
    if (str_is(name, "avatar_url") && !is_https_url(got))
        return err_set(e, 422, "validation_failed", "avatar_url must be an https URL");
    if (str_is(name, "role") && !str_list_has(a->config.profile_roles, got))
        return err_set(e, 422, "validation_failed", "role must be one of %.*s",
                       STR_ARG(a->config.profile_roles));
    return true;
}

static struct str default_role(const struct auth_config *c)
{
    struct str first, rest;
    str_cut(c->profile_roles, ',', &first, &rest);
    return str_trim(first);
}

struct str signup_profile_from_metadata(struct req *req, struct str metadata)
{
    const struct auth *a = auth_of(req);
    struct buf b;
    buf_init_arena(&b, req->arena, METADATA_MAX);
    json_put_open(&b, '{');
    bool role_given = false;
    struct str item, list = a->config.profile_fields;
    for (bool more = list.n > 0; more;) {
        more = str_cut(list, ',', &item, &list);
        item = str_trim(item);
        struct str value = {0};
        struct err ignored = {0};
        const char *name = arena_cstr(req->arena, item);
        if (!metadata.p || !json_get(metadata, name, JSON_ANY, &value, req->arena)
            || !signup_profile_check(a, item, value, req->arena, &ignored))
            continue;
        json_put_kraw(&b, name, value);
        role_given = role_given || str_is(item, "role");
    }
    if (!role_given && str_list_has(a->config.profile_fields, S("role")))
        json_put_kstr(&b, "role", default_role(&a->config));
    json_put_close(&b, '}');
    return b.failed ? S("{}") : buf_view(&b);
}

/* ---- the rows of a new user --------------------------------------------------------------- */

/* How they sign in for the first time: a provider, and the method of the amr claim. */
static struct str provider_of(const struct signup *in)
{
    if (in->external)
        return str_from(in->external->provider);
    return in->anonymous ? S("anonymous") : in->email.p ? S("email") : S("phone");
}

static const char *method_of(const struct signup *in)
{
    return in->external ? "oauth" : in->anonymous ? "anonymous" : "password";
}

static struct str detail_of(struct req *req, const struct signup *in)
{
    return arena_printf(req->arena, "{\"provider\":\"%.*s\"}", STR_ARG(provider_of(in)));
}

/* {"provider":…,"providers":[…]} with the caller's own keys over it; an anonymous user has none. */
static bool app_metadata_of(struct req *req, const struct signup *in, struct str *out,
                            struct err *e)
{
    struct str own = in->app_metadata.p ? in->app_metadata : S("{}");
    if (in->anonymous)
        return json_merge(S("{}"), own, req->arena, out, e);
    struct buf b;
    buf_init_arena(&b, req->arena, METADATA_MAX);
    json_put_open(&b, '{');
    json_put_kstr(&b, "provider", provider_of(in));
    json_put_key(&b, "providers");
    json_put_open(&b, '[');
    if (in->external)
        json_put_str(&b, provider_of(in));
    else if (in->email.p)
        json_put_str(&b, S("email"));
    if (in->phone.p)
        json_put_str(&b, S("phone"));
    json_put_close(&b, ']');
    json_put_close(&b, '}');
    return json_merge(buf_view(&b), own, req->arena, out, e);
}

static struct str identity_data(struct req *req, struct str id, const char *key, struct str value)
{
    struct buf b;
    buf_init_arena(&b, req->arena, METADATA_MAX);
    json_put_open(&b, '{');
    json_put_kstr(&b, "sub", id);
    json_put_kstr(&b, key, value);
    json_put_kbool(&b, "email_verified", false);
    json_put_kbool(&b, "phone_verified", false);
    json_put_close(&b, '}');
    return buf_view(&b);
}

/* A public signup's user_metadata equals its identity's data; confirming marks email_verified (GoTrue, user.go). */
static bool metadata_of(struct req *req, const struct signup *in, struct str identity,
                        struct str *metadata, struct str *identity_out, struct err *e)
{
    struct str own = in->user_metadata.p ? in->user_metadata : S("{}");
    *identity_out = identity;
    *metadata = own;
    if (in->metadata_is_identity) {
        if (!json_merge(own, identity, req->arena, identity_out, e))
            return false;
        *metadata = *identity_out;
    }
    return !in->email_confirmed
           || json_merge(*metadata, S("{\"email_verified\":true}"), req->arena, metadata, e);
}

/* Indexes of statements in the flush, so that a failure can be worded. */
struct plan {
    int profile, session, user, profile_read;
};

/* Deferred constraints fail behind the statements, and are the profile's as far as one can know. */
static bool is_profile(const struct pg_tx *tx, const struct plan *plan)
{
    int at = tx->error.statement;
    return plan->profile >= 0
           && (at == plan->profile || at == plan->profile_read || at >= (int)tx->count);
}

static bool failure_worded(const struct pg_tx *tx, const struct plan *plan, struct err *e)
{
    if (str_is(tx->error.sqlstate, "23505") && str_starts(tx->error.constraint, S("users_email")))
        return err_set(e, 422, "email_exists",
                       "A user with this email address has already been registered");
    if (str_is(tx->error.sqlstate, "23505") && str_starts(tx->error.constraint, S("users_phone")))
        return err_set(e, 422, "phone_exists", "Phone number already registered by another user");
    if (str_is(tx->error.sqlstate, "23505") && str_is(tx->error.constraint, "users_pkey"))
        return err_set(e, 422, "user_already_exists", "A user with this id already exists");
    if (str_is(tx->error.sqlstate, "23505") && str_is(tx->error.constraint, "identities_provider_id_provider_unique"))
        return err_set(e, 422, "identity_already_exists", "Identity is already linked to another user");
    if (e->status != 500)
        return false;
    char detail[sizeof(e->detail)];
    memcpy(detail, e->detail, sizeof(detail));
    char sqlstate[sizeof(e->sqlstate)];
    memcpy(sqlstate, e->sqlstate, sizeof(sqlstate));
    if (tx->error.statement == 0
        && str_starts(tx->error.sqlstate, S("22"))) /* numbers beyond numeric */
        err_set(e, 400, "validation_failed", "The metadata holds a value that cannot be stored");
    else if (is_profile(tx, plan))
        err_set(e, 500, "unexpected_failure",
                "Failed to create profile. Auth user removed for safety.");
    else
        err_set(e, 500, "unexpected_failure", "Database error saving new user");
    err_detail(e, "%s", detail);
    memcpy(e->sqlstate, sqlstate, sizeof(sqlstate));
    return false;
}

struct rows {
    struct str id, aud, role, password;
    struct str app_metadata, user_metadata, identity_email, identity_phone, profile;
};

static bool rows_prepare(struct req *req, const struct signup *in, struct user *u, struct rows *out,
                         struct err *e)
{
    const struct auth_config *c = auth_config_of(req);
    out->id = uuid_str(&u->id);
    out->aud = in->aud.p ? in->aud : auth_audience(req);
    out->role = in->role.p ? in->role : c->default_role;
    struct str identity = in->email.p ? identity_data(req, out->id, "email", in->email)
                                      : identity_data(req, out->id, "phone", in->phone);
    struct str first; /* of an anonymous user: not used */
    if (!app_metadata_of(req, in, &out->app_metadata, e)
        || !metadata_of(req, in, identity, &out->user_metadata, &first, e))
        return false;
    out->identity_email = in->email.p && !in->external ? first : (struct str){0};
    out->identity_phone = !in->phone.p  ? (struct str){0}
                          : in->email.p ? identity_data(req, out->id, "phone", in->phone)
                                        : first;
    out->profile =
        in->profile.p ? in->profile : signup_profile_from_metadata(req, in->user_metadata);
    return true;
}

static void rows_queue(struct pg_tx *tx, struct req *req, const struct signup *in,
                       const struct rows *r, struct plan *plan)
{
    const char *table = auth_config_of(req)->profile_table;
    pg_tx_add(tx, &user_insert_sql,
              PG_ARGS(r->id, r->aud, r->role, in->email, in->phone, r->password,
                      pg_tx_bool(in->email_confirmed), pg_tx_bool(in->phone_confirmed),
                      r->app_metadata, r->user_metadata, pg_tx_time(tx, in->banned_until_us),
                      pg_tx_bool(in->anonymous)));
    if (in->external)
        pg_tx_add(tx, &identity_insert_sql,
                  PG_ARGS(r->id, in->external->subject, provider_of(in), in->external->identity));
    if (r->identity_email.p)
        pg_tx_add(tx, &identity_insert_sql, PG_ARGS(r->id, r->id, S("email"), r->identity_email));
    if (r->identity_phone.p)
        pg_tx_add(tx, &identity_insert_sql, PG_ARGS(r->id, r->id, S("phone"), r->identity_phone));
    audit_add(tx, req,
              &(struct audit_note){.event = in->mail && !in->email_confirmed
                                                ? AUDIT_USER_CONFIRMATION_REQUESTED
                                                : AUDIT_USER_SIGNED_UP,
                                   .actor_id = r->id,
                                   .actor_kind = str_from(in->actor_kind),
                                   .actor_email = in->email,
                                   .detail = detail_of(req, in)});
    plan->profile = -1;
    if (table) {
        plan->profile = (int)tx->count;
        pg_tx_add(tx, &profile_write_sql, PG_ARGS(str_from(table), r->id, r->profile));
    }
}

static bool mail_queue(struct pg_tx *tx, struct req *req, const struct signup *in, const struct rows *r,
                       struct err *e)
{
    struct user planned = {.email = in->email, .user_metadata = r->user_metadata};
    uuid_parse(r->id, &planned.id);
    return token_mail_queue(tx, req, in->mail, &planned, e);
}

static void login_queue(struct pg_tx *tx, struct req *req, const struct signup *in,
                        const struct user *u, const struct token_pair *pair, struct plan *plan)
{
    plan->session = (int)tx->count;
    session_queue_open(tx, req, u, pair, method_of(in), (struct str){0});
    audit_add(tx, req,
              &(struct audit_note){.event = AUDIT_LOGIN,
                                   .actor_id = uuid_str(&u->id),
                                   .actor_kind = str_from(in->actor_kind),
                                   .actor_email = in->email,
                                   .detail = detail_of(req, in)});
}

static bool also_queue(struct pg_tx *tx, struct req *req, const struct signup *in,
                       const struct rows *r, const struct user *u, struct err *e)
{
    struct user *planned = arena_new(req->arena, struct user, 1); /* audit notes may point into it */
    planned->id = u->id;
    planned->email = in->email;
    planned->phone = in->phone;
    planned->user_metadata = r->user_metadata;
    return !in->also || in->also(tx, req, planned, in->also_ctx, e);
}

/* Everything is in the flush; what the rows became (triggers may have changed them) comes back with it. */
static bool rows_write(struct req *req, const struct signup *in, struct rows *r, struct login *out,
                       struct err *e)
{
    struct user *u = &out->user;
    const char *table = auth_config_of(req)->profile_table;
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    struct plan plan = {.profile = -1, .session = -1, .profile_read = -1};
    if (!pg_tx_single(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    rows_queue(&tx, req, in, r, &plan);
    if ((in->mail && !mail_queue(&tx, req, in, r, e)) || !also_queue(&tx, req, in, r, u, e))
        return false;
    if (in->open_session)
        login_queue(&tx, req, in, u, &out->pair, &plan);
    plan.user = (int)tx.count;
    pg_tx_add(&tx, &user_by_id_sql, PG_ARGS(r->id));
    if (in->want_profile && table) {
        plan.profile_read = (int)tx.count;
        pg_tx_add(&tx, &profile_read_sql, PG_ARGS(str_from(table), r->id));
    }
    if (!audit_commit(&tx, req, e))
        return failure_worded(&tx, &plan, e);
    const struct pg_result *row = pg_tx_result(&tx, (unsigned)plan.user);
    if (pg_row_count(row) == 0)
        return err_set(e, 500, "unexpected_failure", "Database error loading user after sign-up");
    if (plan.session >= 0 && pg_row_count(pg_tx_result(&tx, (unsigned)plan.session)) == 0)
        out->pair =
            (struct token_pair){0}; /* an app's trigger has banned or unconfirmed the newcomer */
    if (plan.profile_read >= 0)
        out->profile =
            arena_str(req->arena, pg_row_str(pg_tx_result(&tx, (unsigned)plan.profile_read), 0, 0));
    return user_from_row(row, 0, req->arena, u, e);
}

enum { EXPONENT_MAX = 16384 }; /* beyond it numeric has no such number */

static size_t exponent_at(struct str json, size_t i)
{
    size_t n = 0;
    if (i < json.n && (json.p[i] == '+' || json.p[i] == '-'))
        i++;
    for (; i < json.n && json.p[i] >= '0' && json.p[i] <= '9' && n < EXPONENT_MAX; i++)
        n = n * 10 + (size_t)(json.p[i] - '0');
    return n < EXPONENT_MAX ? n : EXPONENT_MAX;
}

/* How much longer PostgreSQL writes the numbers of a JSON text: 1e300 becomes 301 digits. */
static size_t numbers_grow(struct str json)
{
    size_t grown = 0;
    bool quoted = false;
    for (size_t i = 0; i < json.n; i++) {
        char c = json.p[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c | 0x20) == 'e' && i > 0 && json.p[i - 1] >= '0'
                 && json.p[i - 1] <= '9')
            grown += exponent_at(json, i + 1);
    }
    return grown;
}

/* As the row will be. */
static struct user planned_user(const struct req *req, const struct signup *in,
                                const struct rows *r, const struct user *u)
{
    struct user planned = *u;
    planned.aud = r->aud;
    planned.role = r->role;
    planned.email = in->email.p ? in->email : S("");
    planned.phone = in->phone.p ? in->phone : S("");
    planned.app_metadata = r->app_metadata;
    planned.user_metadata = r->user_metadata;
    planned.created_us = planned.updated_us = req->now_us;
    planned.identities = S("[]");
    return planned;
}

/*
 * Signed once before anything is written: after the commit it would be too late to refuse, and who
 * does not fit into a token could never log in.
 */
static bool token_fits(struct req *req, const struct signup *in, const struct rows *r,
                       const struct user *u, struct err *e)
{
    struct user planned = planned_user(req, in, r, u);
    struct token_pair unused = {.session_id = uuid_v4()};
    struct buf room;
    buf_init_arena(&room, req->arena, METADATA_MAX);
    for (size_t n = numbers_grow(r->app_metadata) + numbers_grow(r->user_metadata);
         n > 0 && !room.failed; n--)
        buf_char(&room, '0');
    buf_str(&room, in->phone);
    planned.phone = buf_view(&room);
    return session_sign(req, &planned, S("aal1"), session_amr(req, method_of(in)), &unused, e);
}

/* Asked before the hash, which costs more than a hook that refuses. */
static bool hook_before(struct req *req, const struct signup *in, const struct rows *r,
                        const struct user *u, struct err *e)
{
    struct user planned = planned_user(req, in, r, u);
    return in->quiet || hook_user(req, HOOK_BEFORE_USER_CREATED, &planned, e);
}

/* GoTrue tells of everybody but who signs up with a password and is confirmed at once (auth.md §5.5). */
static bool hook_after(struct req *req, const struct signup *in, const struct user *u,
                       struct err *e)
{
    bool untold = in->quiet || (in->password.p && user_confirmed(u));
    return untold || hook_user(req, HOOK_AFTER_USER_CREATED, u, e);
}

bool signup_run(struct req *req, const struct signup *in, struct login *out, struct err *e)
{
    struct login l = {.user.id = in->id.text[0] ? in->id : uuid_v4()};
    struct rows r = {0};
    if (!rows_prepare(req, in, &l.user, &r, e) || !token_fits(req, in, &r, &l.user, e)
        || !hook_before(req, in, &r, &l.user, e))
        return false;
    r.password = in->password_hash.p ? in->password_hash : S("");
    if (in->password.p && !hasher_make(req, in->password, &r.password, e))
        return false;
    l.user.password = r.password;
    if (in->open_session)
        session_prepare(req, &l.pair);
    if (!rows_write(req, in, &r, &l, e)
        || (l.pair.refresh_token.p
            && !session_sign(req, &l.user, S("aal1"), session_amr(req, method_of(in)), &l.pair, e))
        || !hook_after(req, in, &l.user, e) || !session_issue(req, &l.user, method_of(in), &l.pair, e))
        return false;
    auth_count("signup");
    *out = l;
    return true;
}

bool signup_repeat(struct req *req, struct str email, const struct token_mail *mail, struct user *out,
                   bool *found, struct err *e)
{
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    *found = false;
    audit_forget(req); /* of the signup that was refused */
    if (!pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e)
        || !user_find_locked(&tx, req, email, out, found, e))
        return false;
    if (!*found)
        return true;
    bool again = !user_confirmed(out);
    if (again && (!one_time_frequency(req, out->confirmation_sent_us, e)
                  || !token_mail_queue(&tx, req, mail, out, e)))
        return false;
    audit_add(&tx, req,
              &(struct audit_note){.event = again ? AUDIT_USER_CONFIRMATION_REQUESTED
                                                  : AUDIT_USER_REPEATED_SIGNUP,
                                   .actor_id = uuid_str(&out->id),
                                   .actor_kind = S("user"),
                                   .actor_email = out->email,
                                   .detail = S("{\"provider\":\"email\"}")});
    if (again)
        out->confirmation_sent_us = req->now_us;
    return audit_commit(&tx, req, e);
}

const struct token_mail *signup_confirmation(struct req *req)
{
    struct token_mail *m = arena_new(req->arena, struct token_mail, 1);
    *m = (struct token_mail){
        .token = ONE_TIME_CONFIRMATION,
        .kind = MAIL_CONFIRMATION,
        .verify_type = "signup",
        .authentication = "email/signup",
        .redirect_to = redirect_target(req, (struct str){0}),
    };
    return m;
}
