/* SPDX-License-Identifier: Apache-2.0 */
#include "account/account_private.h"

enum { FIELDS_MAX = 64 * 1024 };

static bool profile_of(struct req *req, struct str *out, struct err *e)
{
    return profile_load(req, uuid_str(&caller_of(req)->user.id), out, e)
           && (out->p || err_set(e, 404, "profile_not_found", "User profile not found"));
}

/* GET …/whoami: whose token this is. */
bool profile_api_whoami(struct req *req, struct resp *resp, struct err *e)
{
    const struct user *u = &caller_of(req)->user;
    struct str profile;
    if (!profile_load(req, uuid_str(&u->id), &profile, e))
        return false;
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_kstr(b, "id", uuid_str(&u->id));
    json_put_kstr(b, "email", u->email);
    json_put_kstr(b, "role", account_json_role(req, u, profile));
    json_put_ktime(b, "created_at", u->created_us);
    json_put_kraw(b, "metadata", u->user_metadata);
    json_put_close(b, '}');
    account_json_no_store(resp);
    return resp_done(resp, e);
}

static bool answer(struct req *req, struct resp *resp, struct str profile, struct err *e)
{
    const struct user *u = &caller_of(req)->user;
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_kstr(b, "id", uuid_str(&u->id));
    account_json_put_account(req, b, u, profile);
    json_put_close(b, '}');
    account_json_no_store(resp);
    return resp_done(resp, e);
}

bool profile_api_get(struct req *req, struct resp *resp, struct err *e)
{
    struct str profile;
    return profile_of(req, &profile, e) && answer(req, resp, profile, e);
}

/*
 * A signup may choose the role, once; what a user may do in the app is not theirs to change later
 * (0008_profiles.sql grants the same columns).
 */
static bool field_allowed(const struct auth *a, struct str name)
{
    return !str_is(name, "role")
           && (signup_profile_writable(a, name) || str_is(name, "onboarding_completed"));
}

static bool field_read(struct req *req, struct buf *b, struct str name, struct str value, struct err *e)
{
    const struct auth *a = req->services->auth;
    if (!field_allowed(a, name))
        return err_set(e, 422, "validation_failed", "%.*s is not a field that can be set here",
                       (int)(name.n < 40 ? name.n : 40), name.p);
    if (str_is(name, "onboarding_completed") && !str_is(value, "true") && !str_is(value, "false"))
        return err_set(e, 422, "validation_failed", "onboarding_completed must be a boolean");
    if (!str_is(value, "null") && !signup_profile_check(a, name, value, req->arena, e))
        return false;
    json_put_kraw(b, arena_cstr(req->arena, name), value);
    return true;
}

static const struct json_shape any_object = {NULL, 0, false};

/*
 * PUT …/profile: the fields that are given, null empties one; the rest stays. Answers as GET does.
 * Fields are those a signup may set but the role, and onboarding_completed.
 */
bool profile_api_put(struct req *req, struct resp *resp, struct err *e)
{
    struct buf b;
    struct str rest = req->body, name, value, profile;
    if (!account_json_read(req, &any_object, NULL, e))
        return false;
    buf_init_arena(&b, req->arena, FIELDS_MAX);
    json_put_open(&b, '{');
    while (json_next(&rest, req->arena, &name, &value))
        if (!field_read(req, &b, name, value, e))
            return false;
    json_put_close(&b, '}');
    if (b.failed)
        return err_set(e, 413, "request_entity_too_large", "the profile is too large");
    return profile_change(req, buf_view(&b), &profile, e) && answer(req, resp, profile, e);
}
