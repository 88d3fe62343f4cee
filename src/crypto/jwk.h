/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One JSON Web Key (RFC 7517, 7518 §6, 8037) as OpenSSL or a prepared HMAC key, bound to the single
 * algorithm that it may be used with (RFC 8725 §3.1). A key that only verifies holds no private
 * part, also when its JWK did. Immutable once read. Private to this folder; crypto/jwt.h is the door.
 */
#ifndef CRYPTO_JWK_H
#define CRYPTO_JWK_H

#include <openssl/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "crypto/hmac.h"

enum jwk_kind { JWK_OCT, JWK_RSA, JWK_EC, JWK_OKP };

struct jwk_alg {
    const char *name; /* "ES256" */
    enum jwk_kind kind;
    const char *kty, *crv;     /* crv NULL where the type has none */
    const EVP_MD *(*md)(void); /* NULL: the algorithm digests for itself */
    size_t field_bytes;        /* of a coordinate, of r and of s; of a raw key */
};

struct jwk {
    const struct jwk_alg *alg;
    struct str kid; /* owned; absent when it has none */
    bool signs;
    bool refused; /* its algorithm is not among those that tokens may have */
    struct hmac_key *mac; /* JWK_OCT */
    EVP_PKEY *pkey;       /* the others */
    struct buf published; /* the public JWK's text; empty for JWK_OCT */
};

enum {
    JWK_SECRET_MIN = 32, /* bytes: RFC 7518 §3.2, no shorter than the hash */
    JWK_KID_MAX = 256
};

/* HS256 key of the secret's bytes. 500 "jwt_key_invalid" when it is too short or kid too long. */
MUST_CHECK bool jwk_from_secret(struct str secret, struct str kid, struct jwk *out, struct err *e);
/* Of a JSON object's text. 500 "jwt_key_invalid", the message saying what is wrong with it. */
MUST_CHECK bool jwk_read(struct str json, struct jwk *out, struct err *e);
void jwk_close(struct jwk *k);

#endif
