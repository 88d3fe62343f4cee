/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_private.h"

#include "guard/lockout.h"

static bool check(struct req *req, struct str password, struct user *u, struct err *e)
{
    CLEANUP(offload_place_drop) struct offload_place place = {0};
    bool right = false, stale = false;
    if (!hasher_place(req, &place, e) || !user_load(req, uuid_str(&req->principal->user_id), u, e))
        return false;
    if (!u->password.n)
        return true;
    if (!hasher_check(req, &place, password.p ? password : S(""), u->password, &right, &stale, e))
        return false;
    return right || err_set(e, 400, "invalid_credentials", "Invalid login credentials");
}

/* Who guesses with a stolen session waits as who guesses at the door. */
bool proof_password(struct req *req, struct str password, struct user *out, struct err *e)
{
    struct lockout l;
    struct user u = {0};
    if (!lockout_begin(req, uuid_str(&req->principal->user_id), &l, e))
        return false;
    bool ok = check(req, password, &u, e);
    bool wrong = !ok && e->status == 400;
    lockout_end(req, &l, ok ? LOCKOUT_RIGHT : wrong ? LOCKOUT_WRONG : LOCKOUT_UNDECIDED);
    if (wrong)
        audit_report(req, &(struct audit_note){.event = AUDIT_LOGIN_FAILED,
                                               .actor_id = uuid_str(&u.id),
                                               .actor_kind = S("user"),
                                               .detail = S("{\"reason\":\"current_password\"}")});
    if (ok)
        *out = u;
    return ok;
}
