/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON Web Tokens, JWS compact form (RFC 7515, 7519, 8725). A key set holds one signing key and any
 * number that only verify; a token's alg must be that of the key its kid names, never the other
 * way round; "none" does not exist here. Immutable once built: swap whole sets, share between threads.
 */
#ifndef CRYPTO_JWT_H
#define CRYPTO_JWT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"

struct jwt_keys;

/* HS256 alone: the signing secret (any length ≥ 32; shorter is refused), no kid unless given. */
MUST_CHECK bool jwt_keys_from_secret(struct str secret, struct str kid, struct jwt_keys **out, struct err *e);
/*
 * A JSON array of JWKs (RFC 7517): oct HS256, RSA RS256/RS512, EC ES256/ES512, OKP EdDSA. Exactly one
 * has key_ops with "sign"; fallback_secret (may be absent) verifies HS256 tokens without a known kid.
 */
MUST_CHECK bool jwt_keys_from_jwks(struct str json, struct str fallback_secret, struct jwt_keys **out, struct err *e);
/* Likewise, but where no key of the JSON signs the secret does, under its kid (absent: none). */
MUST_CHECK bool jwt_keys_from_ring(struct str json, struct str secret, struct str kid, struct jwt_keys **out,
                                   struct err *e);
/*
 * Another issuer's published set ({"keys":[…]}, RFC 7517 §5), to verify with and never to sign. Only
 * asymmetric keys that may sign count: a secret in a public document would let everybody sign. Keys
 * of kinds that are not known here are passed over. 502 "jwt_keys_foreign" when none is left.
 */
MUST_CHECK bool jwt_keys_from_foreign(struct str json, struct jwt_keys **out, struct err *e);
/*
 * Before the set is shared: only tokens of these algorithms ("ES256,RS256"; absent: all) verify from
 * now on. 500 "jwt_key_invalid" when the signing key's is not among them.
 */
MUST_CHECK bool jwt_keys_allow(struct jwt_keys *k, struct str algorithms, struct err *e);
void jwt_keys_free(struct jwt_keys *k);
/* Whether the set has the key that the token's header names. */
bool jwt_keys_know(const struct jwt_keys *k, struct str token, struct arena *a);

/* Signs claims (a JSON object's text) into b, header keys alg, kid?, typ in that order. */
MUST_CHECK bool jwt_sign(const struct jwt_keys *k, struct str claims, struct buf *b, struct err *e);

/*
 * Checks form (three base64url parts, at most 16 KiB), header, alg, signature, exp and nbf (no
 * leeway), then gives the claims' text in the arena. exp is required unless allow_no_exp. Errors:
 * 401 with code "jwt_malformed", "jwt_signature", "jwt_alg", "jwt_expired", "jwt_not_yet"; e->message
 * says which in words fit for a caller ("token is expired", "signature is invalid", …).
 */
struct jwt_check {
    int64_t now_us;
    bool allow_no_exp;
};
MUST_CHECK bool jwt_verify(const struct jwt_keys *k, struct str token, const struct jwt_check *check, struct arena *a,
                           struct str *claims, struct err *e);
/* {"keys":[…]}: public parts of the asymmetric keys, fields as auth.md §2.2. */
void jwt_keys_publish(const struct jwt_keys *k, struct buf *b);

#endif
