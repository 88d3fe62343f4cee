/* SPDX-License-Identifier: Apache-2.0 */
/* Digests (FIPS 180-4) on OpenSSL EVP with contexts reused per thread. */
#ifndef CRYPTO_HASH_H
#define CRYPTO_HASH_H

#include "base/str.h"

void hash_sha256(struct str s, unsigned char out[32]);
/* Of a then b, without joining them first. */
void hash_sha256_2(struct str a, struct str b, unsigned char out[32]);
/* Lower-case hex with a NUL; sha1 is what leaked passwords are listed by, sha224 is what GoTrue stores of one-time tokens. */
void hash_sha1_hex(struct str s, char out[41]);
void hash_sha256_hex(struct str s, char out[65]);
void hash_sha224_hex(struct str s, char out[57]);

#endif
