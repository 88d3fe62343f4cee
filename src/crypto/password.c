/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/password.h"

#include <argon2.h>
#include <crypt.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/base64.h"
#include "base/rand.h"
#include "base/secret.h"
#include "crypto/firebase.h"

enum {
    /*
     * What an imported hash may cost: libsodium's MODERATE (256 MiB, three passes, 0.6-1 s) is in,
     * its SENSITIVE and RFC 9106's 2 GiB are out. Lanes run one after the other, on one core.
     */
    MEMORY_KIB_MAX = 262144,
    PASSES_MAX = 16,
    LANES_MAX = 8,
    WORK_KIB_MAX = 3 * MEMORY_KIB_MAX, /* memory times passes */
    KEPT_BYTES_MAX = 64 * 1024 * 1024, /* a larger region is given back after the one hash */
    SALT_BYTES = 16,                   /* made; read: SALT_MIN to BLOB_MAX */
    HASH_BYTES = 32,                   /* made; read: HASH_MIN to BLOB_MAX */
    SALT_MIN = 8,
    HASH_MIN = 16,
    BLOB_MAX = 64,
    PASSWORD_MAX = 1024 * 1024, /* far over what any caller lets through */
    BCRYPT_BYTES = 60,
    BCRYPT_HASH_AT = 29, /* "$2b$10$" and 22 of salt come before */
    BCRYPT_COST_MIN = 4,
    BCRYPT_COST_MAX = 14, /* 0.8 s */
    BCRYPT_KEY_BYTES = 72
};

const struct password_params password_default = {.memory_kib = 19456, .passes = 2, .lanes = 1};

/* ---- the thread's argon2 memory -------------------------------------------------------------- */

static _Thread_local struct {
    uint8_t *p;
    size_t n;
} region;

static pthread_once_t region_once = PTHREAD_ONCE_INIT;
static pthread_key_t region_key;

void password_release_memory(void)
{
    if (region.p)
        munmap(region.p, region.n);
    region.p = NULL;
    region.n = 0;
}

static void region_thread_ends(void *unused)
{
    (void)unused;
    password_release_memory();
}

static void region_start(void)
{
    BUG(pthread_key_create(&region_key, region_thread_ends) != 0);
}

static int region_take(uint8_t **out, size_t n)
{
    if (n > region.n) {
        password_release_memory();
        void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            return ARGON2_MEMORY_ALLOCATION_ERROR;
        madvise(p, n, MADV_DONTDUMP); /* it is derived from a password until it is wiped */
        region.p = p;
        region.n = n;
        pthread_once(&region_once, region_start);
        pthread_setspecific(region_key, p); /* so that a thread's end unmaps it */
    }
    *out = region.p;
    return ARGON2_OK;
}

/* The library has wiped it. */
static void region_give(uint8_t *p, size_t n)
{
    (void)p;
    (void)n;
    if (region.n > KEPT_BYTES_MAX)
        password_release_memory();
}

/* ---- argon2 ---------------------------------------------------------------------------------- */

struct argon {
    argon2_type type;
    struct password_params params;
    uint8_t salt[BLOB_MAX], hash[BLOB_MAX];
    size_t salt_n, hash_n;
};

static bool params_bounded(const struct password_params *p)
{
    return p->passes >= 1 && p->passes <= PASSES_MAX && p->lanes >= 1 && p->lanes <= LANES_MAX
           && p->memory_kib >= 8 * p->lanes && p->memory_kib <= MEMORY_KIB_MAX
           && p->memory_kib * p->passes <= WORK_KIB_MAX;
}

/* Fills out with x->hash_n bytes. */
static bool argon_run(struct str password, struct argon *x, uint8_t out[BLOB_MAX], struct err *e)
{
    if (password.n > PASSWORD_MAX)
        return err_set(e, 500, "password_hash", "the password is too long");
    argon2_context ctx = {
        .out = out,
        .outlen = (uint32_t)x->hash_n,
        .pwd = (uint8_t *)(uintptr_t)password.p, /* read only: no ARGON2_FLAG_CLEAR_PASSWORD */
        .pwdlen = (uint32_t)password.n,
        .salt = x->salt,
        .saltlen = (uint32_t)x->salt_n,
        .t_cost = x->params.passes,
        .m_cost = x->params.memory_kib,
        .lanes = x->params.lanes,
        .threads = 1, /* a hash is one core's work: the pool counts on it */
        .version = ARGON2_VERSION_13,
        .allocate_cbk = region_take,
        .free_cbk = region_give,
    };
    int rc = argon2_ctx(&ctx, x->type);
    if (rc == ARGON2_OK)
        return true;
    err_set(e, 500, "password_hash", "the password could not be hashed");
    return err_detail(e, "%s", argon2_error_message(rc));
}

/* PHC strings use base64 without padding. */
static void put_unpadded(struct buf *b, const uint8_t *bytes, size_t n)
{
    base64_put(b, str_of((const char *)bytes, n));
    while (b->n > 0 && b->p[b->n - 1] == '=')
        b->n--;
}

static bool argon_write(const struct argon *x, char out[PASSWORD_HASH_MAX])
{
    struct buf b;
    buf_init(&b, PASSWORD_HASH_MAX - 1);
    buf_printf(&b, "$argon2id$v=19$m=%u,t=%u,p=%u$", x->params.memory_kib, x->params.passes,
               x->params.lanes);
    put_unpadded(&b, x->salt, x->salt_n);
    buf_char(&b, '$');
    put_unpadded(&b, x->hash, x->hash_n);
    bool ok = !b.failed;
    if (ok) {
        memcpy(out, b.p, b.n);
        out[b.n] = '\0';
    }
    buf_free(&b);
    return ok;
}

/* "m=19456" and the like: no sign, no leading zero. */
static bool read_param(struct str s, const char *name, unsigned *out)
{
    uint64_t v;
    if (s.n < 3 || s.p[0] != name[0] || s.p[1] != '=' || s.p[2] == '0'
        || !str_to_u64(str_from_at(s, 2), &v) || v > MEMORY_KIB_MAX)
        return false;
    *out = (unsigned)v;
    return true;
}

static bool read_params(struct str s, struct password_params *out)
{
    struct str m, t;
    return str_cut(s, ',', &m, &s) && str_cut(s, ',', &t, &s)
           && read_param(m, "m", &out->memory_kib) && read_param(t, "t", &out->passes)
           && read_param(s, "p", &out->lanes) && params_bounded(out);
}

static bool read_unpadded(struct str s, size_t least, uint8_t out[BLOB_MAX], size_t *out_n)
{
    char padded[96];
    if (s.n == 0 || s.n > 88 || s.p[s.n - 1] == '=')
        return false;
    memcpy(padded, s.p, s.n);
    size_t n = s.n;
    while (n % 4)
        padded[n++] = '=';
    struct arena a;
    arena_init(&a, 256);
    struct str bytes = base64_decode(&a, str_of(padded, n));
    bool ok = bytes.p && bytes.n >= least && bytes.n <= BLOB_MAX;
    if (ok) {
        memcpy(out, bytes.p, bytes.n);
        *out_n = bytes.n;
    }
    arena_close(&a);
    return ok;
}

/* $argon2id$v=19$m=…,t=…,p=…$salt$hash; an older version, key ids and data are not accepted. */
static bool argon_read(struct str s, struct argon *out)
{
    struct str rest, params, salt;
    if (str_starts(s, S("$argon2id$v=19$")))
        out->type = Argon2_id, rest = str_from_at(s, 15);
    else if (str_starts(s, S("$argon2i$v=19$")))
        out->type = Argon2_i, rest = str_from_at(s, 14);
    else
        return false;
    return str_cut(rest, '$', &params, &rest) && str_cut(rest, '$', &salt, &rest)
           && read_params(params, &out->params)
           && read_unpadded(salt, SALT_MIN, out->salt, &out->salt_n)
           && read_unpadded(rest, HASH_MIN, out->hash, &out->hash_n);
}

static bool argon_current(const struct argon *x, const struct password_params *want)
{
    return x->type == Argon2_id && x->params.memory_kib == want->memory_kib
           && x->params.passes == want->passes && x->params.lanes == want->lanes
           && x->salt_n >= SALT_BYTES && x->hash_n >= HASH_BYTES;
}

bool password_hash(struct str password, const struct password_params *params,
                   char out[PASSWORD_HASH_MAX], struct err *e)
{
    struct argon x = {
        .type = Argon2_id, .params = *params, .salt_n = SALT_BYTES, .hash_n = HASH_BYTES};
    if (!params_bounded(params)) /* it could not be verified again */
        return err_set(e, 500, "password_hash", "the cost of password hashes is out of bounds");
    rand_bytes(x.salt, SALT_BYTES);
    if (!argon_run(password, &x, x.hash, e))
        return false;
    return argon_write(&x, out) || err_set(e, 500, "password_hash", "the hash is too long");
}

/* ---- bcrypt ---------------------------------------------------------------------------------- */

static bool bcrypt_char(char c)
{
    return (c >= '.' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool bcrypt_known(struct str s)
{
    if (s.n != BCRYPT_BYTES || s.p[0] != '$' || s.p[1] != '2' || s.p[3] != '$' || s.p[6] != '$'
        || (s.p[2] != 'a' && s.p[2] != 'b' && s.p[2] != 'y'))
        return false;
    int64_t cost;
    if (!str_to_i64(str_of(s.p + 4, 2), &cost) || cost < BCRYPT_COST_MIN || cost > BCRYPT_COST_MAX)
        return false;
    for (size_t i = 7; i < s.n; i++) {
        if (!bcrypt_char(s.p[i]))
            return false;
    }
    return true;
}

/* stored is bcrypt_known. */
static bool bcrypt_verify(struct str password, struct str stored, bool *ok, struct err *e)
{
    char key[BCRYPT_KEY_BYTES + 1] = {0}, setting[BCRYPT_BYTES + 1] = {0};
    size_t n = password.n < BCRYPT_KEY_BYTES ? password.n : BCRYPT_KEY_BYTES;
    struct crypt_data *data = calloc(1, sizeof(*data)); /* 32 KiB: too much for a small stack */
    if (!data)
        return err_set(e, 500, "password_hash", "out of memory");
    if (n)
        memcpy(key, password.p, n);
    memcpy(setting, stored.p, BCRYPT_BYTES);
    const char *made = crypt_rn(key, setting, data, (int)sizeof(*data));
    bool ran = made && strlen(made) == BCRYPT_BYTES;
    /* Only the digest: two spare bits of the salt's last character are not kept by the library. */
    if (ran)
        *ok = secret_eq(str_of(made + BCRYPT_HASH_AT, BCRYPT_BYTES - BCRYPT_HASH_AT),
                        str_from_at(stored, BCRYPT_HASH_AT))
              && strlen(key) == n; /* a NUL inside would otherwise shorten the password */
    secret_wipe_bytes(key, sizeof(key));
    secret_wipe_bytes(data, sizeof(*data));
    free(data);
    return ran || err_set(e, 500, "password_hash", "the password could not be hashed");
}

/* ---- verifying ------------------------------------------------------------------------------- */

static bool argon_verify(struct str password, struct argon *x, bool *ok, struct err *e)
{
    uint8_t made[BLOB_MAX];
    if (!argon_run(password, x, made, e))
        return false;
    *ok =
        secret_eq(str_of((const char *)made, x->hash_n), str_of((const char *)x->hash, x->hash_n));
    secret_wipe_bytes(made, sizeof(made));
    return true;
}

/* What a wrong password for a hash of these params costs, against a salt and hash of zeros. */
static bool verify_nobody(struct str password, const struct password_params *params, struct err *e)
{
    struct argon dummy = {
        .type = Argon2_id, .params = *params, .salt_n = SALT_BYTES, .hash_n = HASH_BYTES};
    bool ignored;
    return argon_verify(password, &dummy, &ignored, e);
}

bool password_verify(struct str password, struct str stored, const struct password_params *params,
                     bool *ok, bool *stale, struct err *e)
{
    struct argon x = {0};
    bool right = false, current = false;
    if (stored.n == 0) {
        if (!verify_nobody(password, params, e))
            return false;
    } else if (argon_read(stored, &x)) {
        current = argon_current(&x, params);
        if (!argon_verify(password, &x, &right, e))
            return false;
    } else if (bcrypt_known(stored)) {
        if (!bcrypt_verify(password, stored, &right, e))
            return false;
    } else if (firebase_known(stored)) {
        if (!firebase_verify(password, stored, &right, e))
            return false;
    } else {
        return err_set(e, 500, "password_hash_unknown", "the stored password has an unknown form");
    }
    *ok = right;
    *stale = right && !current;
    return true;
}

bool password_hash_known(struct str stored)
{
    struct argon x;
    return argon_read(stored, &x) || bcrypt_known(stored) || firebase_known(stored);
}
