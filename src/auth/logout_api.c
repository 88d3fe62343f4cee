/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_api.h"

struct scope_name {
    const char *name;
    enum session_scope scope;
};

static const struct scope_name scopes[] = {
    {"", SESSION_GLOBAL},
    {"global", SESSION_GLOBAL},
    {"local", SESSION_LOCAL},
    {"others", SESSION_OTHERS},
};

/* POST /auth/v1/logout?scope=global|local|others: 204 once the sessions are gone, on every loop. */
bool logout_api_post(struct req *req, struct resp *resp, struct err *e)
{
    struct str scope = req_query(req, "scope");
    for (size_t i = 0; i < sizeof(scopes) / sizeof(scopes[0]); i++) {
        if (!str_is(scope, scopes[i].name))
            continue;
        if (!session_logout(req, scopes[i].scope, e))
            return false;
        resp_empty(resp, 204);
        return true;
    }
    return err_set(e, 400, "validation_failed", "Unsupported logout scope \"%.40s\"", scope.p);
}
