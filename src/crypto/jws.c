/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/jws.h"

#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "crypto/evp.h"

/* DER of the largest ECDSA signature: two 66-byte integers, a sign byte each, and their headers. */
enum { ECDSA_DER_MAX = 160 };

static bool der_to_raw(const unsigned char *der, size_t n, size_t field, unsigned char *raw)
{
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)n);
    bool ok = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, (int)field) == (int)field
              && BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + field, (int)field) == (int)field;
    ECDSA_SIG_free(sig);
    return ok;
}

/* Length of the DER form; 0 without memory. */
static size_t raw_to_der(struct str raw, size_t field, unsigned char der[ECDSA_DER_MAX])
{
    const unsigned char *p = (const unsigned char *)raw.p;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(p, (int)field, NULL), *s = BN_bin2bn(p + field, (int)field, NULL);
    int n = 0;
    if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
        r = s = NULL; /* sig owns them */
        if (i2d_ECDSA_SIG(sig, NULL) <= ECDSA_DER_MAX)
            n = i2d_ECDSA_SIG(sig, &der);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return n > 0 ? (size_t)n : 0;
}

/* The library's own form: PKCS #1 v1.5, DER for ECDSA, raw for EdDSA. */
static bool pkey_sign(const struct jwk *k, struct str input, unsigned char *out, size_t *n)
{
    EVP_MD_CTX *ctx = evp_scratch();
    const EVP_MD *md = k->alg->md ? k->alg->md() : NULL;
    bool ok = EVP_DigestSignInit(ctx, NULL, md, NULL, k->pkey) == 1
              && EVP_DigestSign(ctx, out, n, (const unsigned char *)input.p, input.n) == 1;
    EVP_MD_CTX_reset(ctx); /* lets go of the key */
    return ok;
}

static bool pkey_verify(const struct jwk *k, struct str input, const unsigned char *sig, size_t n)
{
    EVP_MD_CTX *ctx = evp_scratch();
    const EVP_MD *md = k->alg->md ? k->alg->md() : NULL;
    bool ok = EVP_DigestVerifyInit(ctx, NULL, md, NULL, k->pkey) == 1
              && EVP_DigestVerify(ctx, sig, n, (const unsigned char *)input.p, input.n) == 1;
    EVP_MD_CTX_reset(ctx);
    ERR_clear_error(); /* a wrong signature leaves reasons in the queue too */
    return ok;
}

static bool ecdsa_sign(const struct jwk *k, struct str input, unsigned char *out, size_t *n)
{
    unsigned char der[ECDSA_DER_MAX];
    size_t der_n = sizeof(der);
    if (!pkey_sign(k, input, der, &der_n) || !der_to_raw(der, der_n, k->alg->field_bytes, out))
        return false;
    *n = 2 * k->alg->field_bytes;
    return true;
}

static bool ecdsa_verify(const struct jwk *k, struct str input, struct str raw)
{
    unsigned char der[ECDSA_DER_MAX];
    size_t n = 0;
    if (raw.n == 2 * k->alg->field_bytes)
        n = raw_to_der(raw, k->alg->field_bytes, der);
    return n > 0 && pkey_verify(k, input, der, n);
}

bool jws_sign(const struct jwk *k, struct str input, unsigned char out[JWS_SIGNATURE_MAX],
              size_t *out_n, struct err *e)
{
    size_t n = JWS_SIGNATURE_MAX;
    bool ok = true;
    if (k->alg->kind == JWK_OCT) {
        hmac_sha256_keyed(k->mac, input, out);
        n = 32;
    } else if (k->alg->kind == JWK_EC) {
        ok = ecdsa_sign(k, input, out, &n);
    } else {
        ok = pkey_sign(k, input, out, &n);
    }
    if (!ok)
        return evp_fail(e, 500, "jwt_sign", "the token could not be signed");
    *out_n = n;
    return true;
}

bool jws_verify(const struct jwk *k, struct str input, struct str signature)
{
    if (k->alg->kind == JWK_EC)
        return ecdsa_verify(k, input, signature);
    if (k->alg->kind != JWK_OCT)
        return pkey_verify(k, input, (const unsigned char *)signature.p, signature.n);
    unsigned char mac[32];
    hmac_sha256_keyed(k->mac, input, mac);
    return signature.n == sizeof(mac) && CRYPTO_memcmp(mac, signature.p, sizeof(mac)) == 0;
}
