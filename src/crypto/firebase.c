/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/firebase.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/secret.h"
#include "crypto/evp.h"

enum {
    LOG_N_MAX = 16,
    R_MAX = 32,
    P_MAX = 4,
    MEMORY_MAX = 64 * 1024 * 1024,
    KEY_BYTES = 32,
    SIGNER_MAX = 128, /* Firebase's have 64 */
    SALT_MAX = 64,    /* with the separator */
    WORK_BYTES = 1024 /* of the arena that a stored form is read into */
};

struct firebase {
    uint64_t log_n, r, p;
    struct str separator, signer, salt, hash; /* decoded */
};

/* "n=14": the number behind the name. */
static bool read_number(struct str s, const char *name, uint64_t max, uint64_t *out)
{
    return s.n >= 3 && s.p[0] == name[0] && s.p[1] == '=' && str_to_u64(str_from_at(s, 2), out)
           && *out >= 1 && *out <= max;
}

static bool read_param(struct str s, struct arena *a, struct firebase *out)
{
    uint64_t version;
    if (str_starts(s, S("ss=")))
        out->separator = base64_decode(a, str_from_at(s, 3));
    else if (str_starts(s, S("sk=")))
        out->signer = base64_decode(a, str_from_at(s, 3));
    else
        return read_number(s, "v", 1, &version) || read_number(s, "n", LOG_N_MAX, &out->log_n)
               || read_number(s, "r", R_MAX, &out->r) || read_number(s, "p", P_MAX, &out->p);
    return true;
}

static bool params_bounded(const struct firebase *f)
{
    return f->log_n && f->r && f->p && (128 * f->r << f->log_n) <= MEMORY_MAX;
}

static bool firebase_read(struct str stored, struct arena *a, struct firebase *out)
{
    struct str params, rest, param;
    if (!str_starts(stored, S("$fbscrypt$"))
        || !str_cut(str_from_at(stored, 10), '$', &params, &rest))
        return false;
    for (bool more = true; more;) {
        more = str_cut(params, ',', &param, &params);
        if (!read_param(param, a, out))
            return false;
    }
    struct str salt;
    if (!str_cut(rest, '$', &salt, &rest))
        return false;
    out->salt = base64_decode(a, salt);
    out->hash = base64_decode(a, rest);
    return params_bounded(out) && out->salt.p && out->salt.n + out->separator.n <= SALT_MAX
           && out->signer.n > 0 && out->signer.n <= SIGNER_MAX && out->hash.n == out->signer.n;
}

bool firebase_known(struct str stored)
{
    struct firebase f = {0};
    struct arena a;
    arena_init(&a, WORK_BYTES);
    bool ok = firebase_read(stored, &a, &f);
    arena_close(&a);
    return ok;
}

static bool derive(struct str password, const struct firebase *f, unsigned char key[KEY_BYTES])
{
    unsigned char salt[SALT_MAX];
    memcpy(salt, f->salt.p, f->salt.n);
    if (f->separator.n)
        memcpy(salt + f->salt.n, f->separator.p, f->separator.n);
    uint64_t n = 1ULL << f->log_n, r = f->r, p = f->p, memory = 2ULL * MEMORY_MAX;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD,
                                          (void *)(uintptr_t)(password.n ? password.p : ""),
                                          password.n),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt, f->salt.n + f->separator.n),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_R, &r),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_P, &p),
        OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &memory),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "SCRYPT", NULL);
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    bool ok = ctx && EVP_KDF_derive(ctx, key, KEY_BYTES, params) == 1;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return ok;
}

static bool encrypt(const unsigned char key[KEY_BYTES], struct str plain,
                    unsigned char out[SIGNER_MAX])
{
    static const unsigned char zero[16];
    int n = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = ctx && EVP_EncryptInit_ex(ctx, EVP_aes_256_ctr(), NULL, key, zero) == 1
              && EVP_EncryptUpdate(ctx, out, &n, (const unsigned char *)plain.p, (int)plain.n) == 1
              && (size_t)n == plain.n;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

bool firebase_verify(struct str password, struct str stored, bool *ok, struct err *e)
{
    struct firebase f = {0};
    struct arena a;
    unsigned char key[KEY_BYTES] = {0}, made[SIGNER_MAX] = {0};
    arena_init(&a, WORK_BYTES);
    bool ran = firebase_read(stored, &a, &f) && derive(password, &f, key)
               && encrypt(key, f.signer, made);
    if (ran)
        *ok = secret_eq(str_of((const char *)made, f.signer.n), f.hash);
    secret_wipe_bytes(key, sizeof(key));
    secret_wipe_bytes(made, sizeof(made));
    arena_close(&a);
    return ran || evp_fail(e, 500, "password_hash", "the password could not be hashed");
}
