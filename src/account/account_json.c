/* SPDX-License-Identifier: Apache-2.0 */
#include "account/account_private.h"

#include <stdio.h>

bool account_json_read(struct req *req, const struct json_shape *shape, void *out, struct err *e)
{
    if (json_read(req->body, shape, out, req->arena, e))
        return true;
    if (e->status == 400 && strcmp(e->code, "validation_failed") == 0)
        e->status = 422;
    return false;
}

bool account_json_email(struct req *req, struct str *email, struct err *e)
{
    if (user_email_normal(req->arena, *email, email, e))
        return true;
    e->status = 422;
    return false;
}

void account_json_put_tokens(struct buf *b, const struct token_pair *pair)
{
    json_put_kstr(b, "access_token", pair->access_token);
    json_put_kstr(b, "refresh_token", pair->refresh_token);
    json_put_kstr(b, "token_type", S("bearer"));
    json_put_ki64(b, "expires_in", pair->expires_in_s);
    json_put_ki64(b, "expires_at", pair->expires_at_s);
}

/* Every column of the profile, so that a client finds role, name and the rest at the top level. */
static void put_profile_columns(struct req *req, struct buf *b, struct str profile)
{
    static const char *const taken[] = {"id",           "email",         "message",    "user",       "user_id",
                                        "access_token", "refresh_token", "token_type", "expires_in", "expires_at",
                                        "profile"};
    struct str rest = profile, name, value;
    while (json_next(&rest, req->arena, &name, &value)) {
        bool skip = false;
        for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
            skip = skip || str_is(name, taken[i]);
        if (!skip)
            json_put_kraw(b, arena_cstr(req->arena, name), value);
    }
}

static struct str profile_text(struct req *req, struct str profile, const char *name)
{
    struct str s = {0};
    return profile.p && json_get(profile, name, JSON_STR, &s, req->arena) ? s : (struct str){0};
}

struct str account_json_role(struct req *req, const struct user *u, struct str profile)
{
    struct str role = profile_text(req, profile, "role");
    return role.p ? role : u->role;
}

void account_json_put_user(struct req *req, struct buf *b, const struct user *u, struct str profile)
{
    struct str full_name = profile_text(req, profile, "full_name");
    json_put_open(b, '{');
    json_put_kstr(b, "id", uuid_str(&u->id));
    json_put_kstr(b, "email", u->email);
    json_put_kstr(b, "role", account_json_role(req, u, profile));
    json_put_kstr(b, "name", profile_text(req, profile, "name"));
    json_put_kstr(b, "full_name", full_name.p ? full_name : profile_text(req, profile, "name"));
    json_put_kbool(b, "email_confirmed", u->email_confirmed_us != 0);
    json_put_ktime(b, "created_at", u->created_us);
    json_put_close(b, '}');
}

void account_json_put_account(struct req *req, struct buf *b, const struct user *u, struct str profile)
{
    json_put_kstr(b, "user_id", uuid_str(&u->id));
    json_put_kstr(b, "email", u->email);
    json_put_key(b, "user");
    account_json_put_user(req, b, u, profile);
    json_put_kraw(b, "profile", profile);
    put_profile_columns(req, b, profile);
}

void account_json_no_store(struct resp *resp)
{
    resp_header(resp, "Cache-Control", S("no-store"));
}

bool account_json_message(struct resp *resp, const char *message, struct err *e)
{
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_kstr(b, "message", str_from(message));
    json_put_close(b, '}');
    return resp_done(resp, e);
}

bool account_json_reword(const struct rewording *words, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        if (!e->code || strcmp(e->code, words[i].code) != 0)
            continue;
        e->status = words[i].status;
        snprintf(e->message, sizeof(e->message), "%s", words[i].message);
    }
    return false;
}

bool account_json_password(const char *field, struct req *req, struct str password, struct err *e)
{
    int64_t wanted = auth_settings(req->services->auth)->password_min;
    int64_t least = wanted > ACCOUNT_PASSWORD_MIN ? wanted : ACCOUNT_PASSWORD_MIN;
    if ((int64_t)password.n < least || password.n > ACCOUNT_PASSWORD_MAX)
        return err_set(e, 422, "validation_failed", "%s must be %lld to %d characters", field, (long long)least,
                       ACCOUNT_PASSWORD_MAX);
    return recovery_password_fits(req, password, e);
}
