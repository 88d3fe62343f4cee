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

static bool provider_enabled(const struct auth_config *c, const char *name)
{
    const struct {
        const char *name;
        bool enabled;
    } built[] = {{"anonymous_users", c->anonymous_enabled},
                 {"email", c->email_enabled},
                 {"google", c->google_enabled}};
    for (size_t i = 0; i < sizeof(built) / sizeof(built[0]); i++)
        if (strcmp(name, built[i].name) == 0)
            return built[i].enabled;
    return false;
}

/* GET /auth/v1/settings: what a client may offer on its login page. */
bool meta_api_settings(struct req *req, struct resp *resp, struct err *e)
{
    const struct auth_config *c = auth_config_of(req);
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_key(b, "external");
    json_put_open(b, '{');
    for (size_t i = 0; i < sizeof(providers) / sizeof(providers[0]); i++)
        json_put_kbool(b, providers[i], provider_enabled(c, providers[i]));
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

static void put_url(struct buf *b, const struct req *req, const char *name, const char *path)
{
    json_put_kstr(b, name, arena_printf(req->arena, "%.*s/auth/v1%s", STR_ARG(auth_config_of(req)->api_url), path));
}

/*
 * GET /auth/v1/.well-known/openid-configuration (OpenID Connect Discovery 1.0 §3): who signs, and
 * where the keys are; the endpoints are where an OAuth server would be (auth.md §1.10).
 */
bool meta_api_openid(struct req *req, struct resp *resp, struct err *e)
{
    static const struct {
        const char *name, *list;
    } lists[] = {
        {"scopes_supported", "[\"openid\",\"profile\",\"email\",\"phone\",\"offline_access\"]"},
        {"response_types_supported", "[\"code\"]"},
        {"response_modes_supported", "[\"query\"]"},
        {"grant_types_supported", "[\"authorization_code\",\"refresh_token\"]"},
        {"subject_types_supported", "[\"public\"]"},
        {"id_token_signing_alg_values_supported", "[\"RS256\",\"HS256\",\"ES256\"]"},
        {"token_endpoint_auth_methods_supported",
         "[\"client_secret_basic\",\"client_secret_post\",\"none\"]"},
        {"claims_supported",
         "[\"sub\",\"aud\",\"iss\",\"exp\",\"iat\",\"auth_time\",\"nonce\",\"email\",\"email_verified\","
         "\"phone_number\",\"phone_number_verified\",\"name\",\"picture\",\"preferred_username\",\"updated_at\"]"},
        {"code_challenge_methods_supported", "[\"S256\",\"plain\"]"},
    };
    const struct auth_config *c = auth_config_of(req);
    struct buf *b = resp_json(resp, 200);
    json_put_open(b, '{');
    json_put_kstr(b, "issuer", c->issuer.n ? c->issuer : arena_printf(req->arena, "%.*s/auth/v1", STR_ARG(c->api_url)));
    put_url(b, req, "authorization_endpoint", "/oauth/authorize");
    put_url(b, req, "token_endpoint", "/oauth/token");
    put_url(b, req, "jwks_uri", "/.well-known/jwks.json");
    put_url(b, req, "userinfo_endpoint", "/oauth/userinfo");
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        json_put_kraw(b, lists[i].name, str_from(lists[i].list));
    json_put_close(b, '}');
    resp_header(resp, "Cache-Control", S("public, max-age=600"));
    return resp_done(resp, e);
}

/* GET /auth/v1/.well-known/jwks.json (RFC 7517 §5): public keys only, so empty under HS256. */
bool meta_api_jwks(struct req *req, struct resp *resp, struct err *e)
{
    jwt_keys_publish(guard_keys(auth_config_of(req)->guard), resp_json(resp, 200));
    resp_header(resp, "Cache-Control", S("public, max-age=600"));
    return resp_done(resp, e);
}
