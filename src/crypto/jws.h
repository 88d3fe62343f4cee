/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures of RFC 7518 §3 and RFC 8037 over bytes, in JWS form: ECDSA is r || s of fixed width,
 * never DER. Private to this folder; crypto/jwt.h is the door.
 */
#ifndef CRYPTO_JWS_H
#define CRYPTO_JWS_H

#include "crypto/jwk.h"

enum {
    JWS_SIGNATURE_MAX = 1024
}; /* bytes: RSA of 8192 bits, the largest key that jwk_read takes */

/* 500 "jwt_sign" when the library refuses. */
MUST_CHECK bool jws_sign(const struct jwk *k, struct str input,
                         unsigned char out[JWS_SIGNATURE_MAX], size_t *out_n, struct err *e);
/* In constant time for HMAC. A signature of another length than the algorithm's is false. */
bool jws_verify(const struct jwk *k, struct str input, struct str signature);

#endif
