/* SPDX-License-Identifier: Apache-2.0 */
/* New keys to sign tokens with, as the text of private JWKs (RFC 7518 §6, RFC 8037 §2). */
#ifndef CRYPTO_KEYGEN_H
#define CRYPTO_KEYGEN_H

#include "base/buf.h"
#include "base/err.h"

/*
 * Writes {"kty":…,"kid":…,"alg":…,"use":"sig",…} without key_ops, which say what it is used for now
 * and are the caller's to add. alg is one of HS256, RS256, RS512, ES256, ES512, EdDSA, else 400
 * "key_algorithm". RSA keys have 2048 bits. What was written is secret: wipe it.
 */
MUST_CHECK bool keygen_jwk(struct str alg, struct str kid, struct buf *out, struct err *e);

#endif
