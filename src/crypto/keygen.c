/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/keygen.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/rand.h"
#include "base/secret.h"
#include "crypto/evp.h"

enum { RSA_BITS = 2048, NUMBER_MAX = 512, SECRET_BYTES = 64, RAW_BYTES = 32 };

/* A number of the key and the JWK member that it becomes. */
struct part {
    const char *member, *param;
};

/* clang-format off */
static const struct part rsa_parts[] = {
    {"n",  OSSL_PKEY_PARAM_RSA_N},            {"e",  OSSL_PKEY_PARAM_RSA_E},
    {"d",  OSSL_PKEY_PARAM_RSA_D},            {"p",  OSSL_PKEY_PARAM_RSA_FACTOR1},
    {"q",  OSSL_PKEY_PARAM_RSA_FACTOR2},      {"dp", OSSL_PKEY_PARAM_RSA_EXPONENT1},
    {"dq", OSSL_PKEY_PARAM_RSA_EXPONENT2},    {"qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1},
};
static const struct part ec_parts[] = {
    {"x", OSSL_PKEY_PARAM_EC_PUB_X}, {"y", OSSL_PKEY_PARAM_EC_PUB_Y}, {"d", OSSL_PKEY_PARAM_PRIV_KEY},
};

static const struct kind {
    const char *alg, *kty, *crv;
    size_t width; /* bytes of a coordinate; 0: as many as the number has */
    const struct part *parts;
    size_t count;
} kinds[] = {
    {"HS256", "oct", NULL,      0,  NULL,      0},
    {"RS256", "RSA", NULL,      0,  rsa_parts, 8},
    {"RS512", "RSA", NULL,      0,  rsa_parts, 8},
    {"ES256", "EC",  "P-256",   32, ec_parts,  3},
    {"ES512", "EC",  "P-521",   66, ec_parts,  3},
    {"EdDSA", "OKP", "Ed25519", 32, NULL,      0},
};
/* clang-format on */

static void put_bytes(struct buf *b, const char *member, const unsigned char *p, size_t n)
{
    json_put_key(b, member);
    buf_char(b, '"');
    base64_put_url(b, str_of((const char *)p, n));
    buf_char(b, '"');
}

static bool put_number(struct buf *b, EVP_PKEY *pkey, const struct part *part, size_t width)
{
    BIGNUM *bn = NULL;
    unsigned char bytes[NUMBER_MAX];
    bool ok = EVP_PKEY_get_bn_param(pkey, part->param, &bn) == 1
              && (size_t)BN_num_bytes(bn) <= sizeof(bytes);
    size_t n = !ok ? 0 : width ? width : (size_t)BN_num_bytes(bn);
    ok = ok && BN_bn2binpad(bn, bytes, (int)n) == (int)n;
    if (ok)
        put_bytes(b, part->member, bytes, n);
    BN_clear_free(bn);
    secret_wipe_bytes(bytes, sizeof(bytes));
    return ok;
}

static bool put_raw_pair(struct buf *b, EVP_PKEY *pkey)
{
    unsigned char x[RAW_BYTES], d[RAW_BYTES];
    size_t x_n = sizeof(x), d_n = sizeof(d);
    bool ok = EVP_PKEY_get_raw_public_key(pkey, x, &x_n) == 1
              && EVP_PKEY_get_raw_private_key(pkey, d, &d_n) == 1;
    if (ok) {
        put_bytes(b, "x", x, x_n);
        put_bytes(b, "d", d, d_n);
    }
    secret_wipe_bytes(d, sizeof(d));
    return ok;
}

static EVP_PKEY *generate(const struct kind *k)
{
    if (strcmp(k->kty, "RSA") == 0)
        return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)RSA_BITS);
    if (strcmp(k->kty, "EC") == 0)
        return EVP_PKEY_Q_keygen(NULL, NULL, "EC", k->crv);
    return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

static bool put_numbers(struct buf *b, const struct kind *k)
{
    if (strcmp(k->kty, "oct") == 0) {
        unsigned char secret[SECRET_BYTES];
        rand_bytes(secret, sizeof(secret));
        put_bytes(b, "k", secret, sizeof(secret));
        secret_wipe_bytes(secret, sizeof(secret));
        return true;
    }
    EVP_PKEY *pkey = generate(k);
    bool ok = pkey != NULL;
    for (size_t i = 0; ok && i < k->count; i++)
        ok = put_number(b, pkey, &k->parts[i], k->width);
    if (ok && k->count == 0)
        ok = put_raw_pair(b, pkey);
    EVP_PKEY_free(pkey);
    return ok;
}

bool keygen_jwk(struct str alg, struct str kid, struct buf *out, struct err *e)
{
    const struct kind *k = NULL;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (str_is(alg, kinds[i].alg))
            k = &kinds[i];
    if (!k)
        return err_set(e, 400, "key_algorithm",
                       "an algorithm is one of ES256, RS256, EdDSA, HS256, RS512, ES512");
    json_put_open(out, '{');
    json_put_kstr(out, "kty", str_from(k->kty));
    json_put_kstr(out, "kid", kid);
    json_put_kstr(out, "alg", str_from(k->alg));
    json_put_kstr(out, "use", S("sig"));
    if (k->crv)
        json_put_kstr(out, "crv", str_from(k->crv));
    if (!put_numbers(out, k))
        return evp_fail(e, 500, "key_generate", "the key could not be made");
    json_put_close(out, '}');
    return !out->failed || err_set(e, 500, "key_generate", "the key is too large");
}
