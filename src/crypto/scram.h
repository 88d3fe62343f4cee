/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PostgreSQL's SCRAM-SHA-256 verifier (RFC 5802, 7677), so that ALTER ROLE … PASSWORD never carries
 * a password in clear text.
 */
#ifndef CRYPTO_SCRAM_H
#define CRYPTO_SCRAM_H

#include "base/str.h"

enum { SCRAM_VERIFIER_MAX = 160 };

/* "SCRAM-SHA-256$4096:<salt>$<StoredKey>:<ServerKey>"; password is ASCII of our own making. */
void scram_verifier(struct str password, char out[SCRAM_VERIFIER_MAX]);

#endif
