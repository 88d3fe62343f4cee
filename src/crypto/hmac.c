/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/hmac.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "base/secret.h"
#include "crypto/evp.h"
#include "crypto/hash.h"

enum { BLOCK_BYTES = 64 }; /* of SHA-256 */

/* Contexts that have digested key ^ ipad and key ^ opad; copied, never written to again. */
struct hmac_key {
    EVP_MD_CTX *inner, *outer;
};

static EVP_MD_CTX *padded(const unsigned char key[BLOCK_BYTES], unsigned char pad)
{
    unsigned char block[BLOCK_BYTES];
    for (size_t i = 0; i < BLOCK_BYTES; i++)
        block[i] = key[i] ^ pad;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    BUG(!ctx || EVP_DigestInit_ex(ctx, evp_sha256(), NULL) != 1
        || EVP_DigestUpdate(ctx, block, sizeof(block)) != 1);
    secret_wipe_bytes(block, sizeof(block));
    return ctx;
}

static void finish(const EVP_MD_CTX *start, struct str message, unsigned char out[32])
{
    EVP_MD_CTX *ctx = evp_scratch();
    bool ok = EVP_MD_CTX_copy_ex(ctx, start) == 1;
    ok = ok && (message.n == 0 || EVP_DigestUpdate(ctx, message.p, message.n) == 1);
    BUG(!ok || EVP_DigestFinal_ex(ctx, out, NULL) != 1);
}

struct hmac_key *hmac_key_new(struct str key)
{
    unsigned char block[BLOCK_BYTES] = {0};
    if (key.n > BLOCK_BYTES)
        hash_sha256(key, block);
    else if (key.n > 0)
        memcpy(block, key.p, key.n);
    struct hmac_key *k = calloc(1, sizeof(*k));
    BUG(!k);
    k->inner = padded(block, 0x36);
    k->outer = padded(block, 0x5c);
    secret_wipe_bytes(block, sizeof(block));
    return k;
}

/* OpenSSL wipes a digest's state when it frees it. */
void hmac_key_free(struct hmac_key *k)
{
    if (!k)
        return;
    EVP_MD_CTX_free(k->inner);
    EVP_MD_CTX_free(k->outer);
    free(k);
}

void hmac_sha256_keyed(const struct hmac_key *k, struct str message, unsigned char out[32])
{
    unsigned char inner[32];
    finish(k->inner, message, inner);
    finish(k->outer, str_of((const char *)inner, sizeof(inner)), out);
}

void hmac_sha256(struct str key, struct str message, unsigned char out[32])
{
    struct hmac_key *k = hmac_key_new(key);
    hmac_sha256_keyed(k, message, out);
    hmac_key_free(k);
}
