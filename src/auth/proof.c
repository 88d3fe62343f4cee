/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_private.h"

#include "guard/quota.h"

bool proof_password(struct req *req, struct str password, struct user *out, struct err *e)
{
    struct str id = uuid_str(&req->principal->user_id);
    CLEANUP(offload_place_drop) struct offload_place place = {0};
    bool right = false, stale = false;
    struct user u = {0};
    if (!quota_take(req, QUOTA_ACCOUNT, id, e) || !hasher_place(req, &place, e)
        || !user_load(req, id, &u, e))
        return false;
    if (!u.password.n || u.deleted_us) {
        *out = u;
        return true;
    }
    if (!hasher_check(req, &place, password.p ? password : S(""), u.password, &right, &stale, e))
        return false;
    if (!right)
        return err_set(e, 400, "invalid_credentials", "Invalid login credentials");
    *out = u;
    return true;
}
