/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_api.h"

/* GET /auth/v1/user: the caller's User object, from memory while nothing about them changed. */
bool user_api_get(struct req *req, struct resp *resp, struct err *e)
{
    if (!str_eq(req->principal->aud, auth_audience(req)))
        return err_set(e, 400, "validation_failed", "Token audience doesn't match request audience");
    caller_send(req, resp);
    return true;
}
