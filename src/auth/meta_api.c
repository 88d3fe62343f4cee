/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_api.h"

#include "base/json.h"
#include "base/version.h"

/* GET /auth/v1/health: the name is GoTrue's, since clients and probes compare it. */
bool meta_api_health(struct req *req, struct resp *resp, struct err *e)
{
    (void)req;
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_kstr(b, "version", S("basalt-" BASALT_VERSION));
    json_put_kstr(b, "name", S("GoTrue"));
    json_put_kstr(b, "description", S("Basalt speaks the protocol of Supabase Auth"));
    json_put_close(b, '}');
    return resp_done(resp, e);
}

static const char *const providers[] = {
    "anonymous_users", "apple", "azure", "bitbucket", "discord", "facebook", "snapchat", "figma", "fly",
    "github", "gitlab", "google", "keycloak", "kakao", "linkedin", "linkedin_oidc", "notion", "spotify",
    "slack", "slack_oidc", "workos", "twitch", "twitter", "email", "phone", "zoom",
};

/* GET /auth/v1/settings: what a client may offer on its login page. */
bool meta_api_settings(struct req *req, struct resp *resp, struct err *e)
{
    const struct auth_config *c = auth_config_of(req);
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_key(b, "external");
    json_put_open(b, '{');
    for (size_t i = 0; i < sizeof(providers) / sizeof(providers[0]); i++)
        json_put_kbool(b, providers[i],
                       (c->email_enabled && strcmp(providers[i], "email") == 0)
                           || (c->anonymous_enabled && strcmp(providers[i], "anonymous_users") == 0));
    json_put_close(b, '}');
    json_put_kbool(b, "disable_signup", !c->signup_enabled);
    json_put_kbool(b, "mailer_autoconfirm", c->autoconfirm);
    json_put_kbool(b, "phone_autoconfirm", false);
    json_put_kstr(b, "sms_provider", S(""));
    json_put_kbool(b, "saml_enabled", false);
    json_put_kbool(b, "saml_private_key_next_configured", false);
    json_put_kbool(b, "passkeys_enabled", false);
    json_put_close(b, '}');
    return resp_done(resp, e);
}

/* GET /auth/v1/.well-known/jwks.json (RFC 7517 §5): public keys only, so empty under HS256. */
bool meta_api_jwks(struct req *req, struct resp *resp, struct err *e)
{
    jwt_keys_publish(guard_keys(auth_config_of(req)->guard), resp_json(resp, 200));
    resp_header(resp, "Cache-Control", S("public, max-age=600"));
    return resp_done(resp, e);
}
