/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/ed25519.h"

#include <openssl/evp.h>

#include "crypto/evp.h"

bool ed25519_sign(struct str seed, struct str message, unsigned char out[ED25519_SIGNATURE],
                  struct err *e)
{
    size_t n = ED25519_SIGNATURE;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY *key = seed.n == ED25519_SEED ? EVP_PKEY_new_raw_private_key(
                        EVP_PKEY_ED25519, NULL, (const unsigned char *)seed.p, seed.n)
                                           : NULL;
    bool ok = ctx && key && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1
              && EVP_DigestSign(ctx, out, &n, (const unsigned char *)message.p, message.n) == 1
              && n == ED25519_SIGNATURE;
    if (!ok)
        evp_fail(e, 500, "signature_failed", "a message could not be signed");
    EVP_PKEY_free(key);
    EVP_MD_CTX_free(ctx);
    return ok;
}
