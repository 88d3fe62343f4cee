/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/hash.h"

#include <openssl/evp.h>

#include "base/hex.h"
#include "crypto/evp.h"

/* A digest can fail only without memory. */
static void digest(const EVP_MD *md, struct str a, struct str b, unsigned char *out)
{
    EVP_MD_CTX *ctx = evp_scratch();
    bool ok = EVP_DigestInit_ex(ctx, md, NULL) == 1;
    ok = ok && (a.n == 0 || EVP_DigestUpdate(ctx, a.p, a.n) == 1);
    ok = ok && (b.n == 0 || EVP_DigestUpdate(ctx, b.p, b.n) == 1);
    BUG(!ok || EVP_DigestFinal_ex(ctx, out, NULL) != 1);
}

void hash_sha256(struct str s, unsigned char out[32])
{
    digest(evp_sha256(), s, S(""), out);
}

void hash_sha256_2(struct str a, struct str b, unsigned char out[32])
{
    digest(evp_sha256(), a, b, out);
}

void hash_sha1_hex(struct str s, char out[41])
{
    unsigned char bytes[20];
    digest(evp_sha1(), s, S(""), bytes);
    hex_encode(bytes, sizeof(bytes), out);
}

void hash_sha256_hex(struct str s, char out[65])
{
    unsigned char bytes[32];
    digest(evp_sha256(), s, S(""), bytes);
    hex_encode(bytes, sizeof(bytes), out);
}

void hash_sha224_hex(struct str s, char out[57])
{
    unsigned char bytes[28];
    digest(evp_sha224(), s, S(""), bytes);
    hex_encode(bytes, sizeof(bytes), out);
}
