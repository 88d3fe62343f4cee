/* SPDX-License-Identifier: Apache-2.0 */
/* Ed25519 signatures (RFC 8032 §5.1) by a raw key; what JWTs need is in crypto/jwt.h. */
#ifndef CRYPTO_ED25519_H
#define CRYPTO_ED25519_H

#include "base/err.h"
#include "base/str.h"

enum { ED25519_SEED = 32, ED25519_SIGNATURE = 64 };

/* seed: the private key's 32 bytes. 500 "signature_failed" when the library refuses. */
MUST_CHECK bool ed25519_sign(struct str seed, struct str message,
                             unsigned char out[ED25519_SIGNATURE], struct err *e);

#endif
