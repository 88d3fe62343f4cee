/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_api.h"

/* GET /auth/v1/user: the caller's User object, from memory while nothing about them changed. */
bool user_api_get(struct req *req, struct resp *resp, struct err *e)
{
    (void)e;
    caller_send(req, resp);
    return true;
}
