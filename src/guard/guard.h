/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's decisions on one request: which API key, which token, may this route be called.
 * Verifies, never issues. Holds the keys as an immutable snapshot that key changes replace.
 */
#ifndef GUARD_GUARD_H
#define GUARD_GUARD_H

#include "base/err.h"
#include "crypto/jwt.h"
#include "guard/principal.h"
#include "http/req.h"

struct guard;

/* What signs, what verifies, and the API keys: all that may change while the server runs. */
struct guard_keyset {
    struct str jwt_secret;       /* HS256, at least 32 bytes */
    struct str jwt_keys;         /* JWKs; absent: the secret signs */
    bool secret_may_sign;        /* also beside JWKs none of which signs; else that is an error */
    struct str key_id;           /* kid of the secret; absent: none */
    struct str algorithms;       /* that tokens may have, "ES256,HS256"; absent: those of the keys */
    struct str anon_key, service_key;       /* legacy JWT keys */
    struct str publishable_key, secret_key; /* sb_publishable_…, sb_secret_… */
};

struct guard_config {
    struct guard_keyset keys;
    struct str admin_roles;      /* "service_role,supabase_admin" */
    struct str issuer;           /* when set, tokens of users must carry it */
    bool key_required;           /* false: /auth/v1, /rest/v1 … work without an API key */
    size_t cache_entries;        /* verified tokens kept per loop */
};

MUST_CHECK bool guard_open(const struct guard_config *c, struct guard **out, struct err *e);
void guard_close(struct guard *g);
/*
 * New keys, in force on every loop when it returns; what was verified by the former ones is verified
 * anew. Nothing happens when they are the same. 500 "jwt_key_invalid": the former ones stay. One
 * thread at a time.
 */
MUST_CHECK bool guard_rekey(struct guard *g, const struct guard_keyset *keys, struct err *e);

/* The keys in force; valid until the end of the program (old snapshots are kept: there are few). */
const struct jwt_keys *guard_keys(const struct guard *g);

/*
 * Step one, before the route's access is looked at: the API key from apikey header, bearer or
 * query. Sets req->principal (always, from the arena).
 */
void guard_identify(struct guard *g, struct req *req);
/*
 * Step two: may this route be called? Verifies the bearer token where the row asks for it (through
 * the cache of verified tokens). Errors are Supabase's: 401 "no_api_key" / "invalid_api_key" of the
 * gateway, 401 "no_authorization", 403 "bad_jwt", 400 "bad_jwt" (sub not a UUID), 403 "not_admin".
 */
MUST_CHECK bool guard_allow(struct guard *g, struct req *req, struct err *e);
/* What ACCESS_USER asks for, on an open route whose body decides whether a user has to be known. */
MUST_CHECK bool guard_allow_user(struct guard *g, struct req *req, struct err *e);
/* Likewise ACCESS_SERVICE. */
MUST_CHECK bool guard_allow_service(struct guard *g, struct req *req, struct err *e);

/*
 * The database role under which SQL of this request runs: its token's, else its key's, else anon;
 * one that the login may become (guard/access.h), or 403 "insufficient_privilege".
 */
MUST_CHECK bool guard_role(const struct req *req, struct str *out, struct err *e);

#endif
