/* SPDX-License-Identifier: Apache-2.0 */
/* /auth/v1/user/identities: unlinking, and linking by a provider. Source: GoTrue identity.go; auth.md §1.5. */
#include "auth/auth_api.h"

#include "auth/identity.h"

static bool linking_enabled(const struct req *req, struct err *e)
{
    return auth_config_of(req)->manual_linking
           || err_set(e, 404, "manual_linking_disabled", "Manual linking is disabled");
}

bool identity_api_delete(struct req *req, struct resp *resp, struct err *e)
{
    struct uuid id;
    if (!linking_enabled(req, e))
        return false;
    if (!uuid_parse(req->params[0], &id))
        return err_set(e, 404, "validation_failed", "identity_id must be an UUID");
    if (!str_eq(req->principal->aud, auth_audience(req)))
        return err_set(e, 403, "unexpected_audience",
                       "Token audience doesn't match request audience");
    if (!identity_unlink(req, uuid_str(&id), e))
        return false;
    BUF_LIT(resp_json(resp, 200), "{}");
    return resp_done(resp, e);
}

/* There is no provider yet that one could be sent to. */
bool identity_api_authorize(struct req *req, struct resp *resp, struct err *e)
{
    (void)resp;
    if (!linking_enabled(req, e))
        return false;
    struct str provider = req_query(req, "provider");
    return err_set(e, 400, "validation_failed", "Unsupported provider: %s",
                   provider.n ? "provider is not enabled" : "missing provider");
}
