/* SPDX-License-Identifier: Apache-2.0 */
#include "password.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"

/* Cheap enough to make many of. */
static const struct password_params light = {.memory_kib = 64, .passes = 1, .lanes = 1};

static bool verify(const char *password, const char *stored, bool *stale)
{
    struct err e = {0};
    bool ok = false;
    assert_true(password_verify(str_from(password), str_from(stored), &light, &ok, stale, &e));
    return ok;
}

static bool right(const char *password, const char *stored)
{
    bool stale;
    return verify(password, stored, &stale);
}

/* RFC 9106 §5.3, through this file's memory. */
static void test_rfc9106_argon2id(void **state)
{
    (void)state;
    static const uint8_t want[32] = {0x0d, 0x64, 0x0d, 0xf5, 0x8d, 0x78, 0x76, 0x6c,
                                     0x08, 0xc0, 0x37, 0xa3, 0x4a, 0x8b, 0x53, 0xc9,
                                     0xd0, 0x1e, 0xf0, 0x45, 0x2d, 0x75, 0xb6, 0x5e,
                                     0xb5, 0x25, 0x20, 0xe9, 0x6b, 0x01, 0xe6, 0x59};
    uint8_t out[32], pwd[32], salt[16], secret[8], ad[12];
    memset(pwd, 1, sizeof(pwd));
    memset(salt, 2, sizeof(salt));
    memset(secret, 3, sizeof(secret));
    memset(ad, 4, sizeof(ad));
    argon2_context ctx = {.out = out,
                          .outlen = 32,
                          .pwd = pwd,
                          .pwdlen = 32,
                          .salt = salt,
                          .saltlen = 16,
                          .secret = secret,
                          .secretlen = 8,
                          .ad = ad,
                          .adlen = 12,
                          .t_cost = 3,
                          .m_cost = 32,
                          .lanes = 4,
                          .threads = 1,
                          .version = ARGON2_VERSION_13,
                          .allocate_cbk = region_take,
                          .free_cbk = region_give};
    assert_int_equal(argon2_ctx(&ctx, Argon2_id), ARGON2_OK);
    assert_memory_equal(out, want, 32);
}

/* The reference implementation's test suite. */
static void test_reference_strings(void **state)
{
    (void)state;
    assert_true(right("password", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$"
                                  "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"));
    assert_true(right("password", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$"
                                  "bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"));
    assert_true(right("password", "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$"
                                  "wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA"));
    assert_false(right("passwore", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$"
                                   "bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"));
}

static void test_made_hash_verifies(void **state)
{
    (void)state;
    struct err e = {0};
    char one[PASSWORD_HASH_MAX], two[PASSWORD_HASH_MAX];
    bool stale = true;
    assert_true(password_hash(S("correct horse"), &light, one, &e));
    assert_true(password_hash(S("correct horse"), &light, two, &e));
    assert_string_not_equal(one, two);
    assert_true(str_starts(str_from(one), S("$argon2id$v=19$m=64,t=1,p=1$")));
    assert_true(password_hash_known(str_from(one)));
    assert_true(verify("correct horse", one, &stale));
    assert_false(stale);
    assert_false(verify("correct horsf", one, &stale));
    assert_false(verify("", one, &stale));
}

static void test_whole_password_counts(void **state)
{
    (void)state;
    struct err e = {0};
    char stored[PASSWORD_HASH_MAX], password[201];
    memset(password, 'x', 200);
    password[200] = '\0';
    assert_true(password_hash(str_of(password, 200), &light, stored, &e));
    assert_true(right(password, stored));
    password[199] = 'y';
    assert_false(right(password, stored));

    assert_true(password_hash(S("nul\0inside"), &light, stored, &e));
    assert_false(right("nul", stored));
}

static void test_stale(void **state)
{
    (void)state;
    struct err e = {0};
    char stored[PASSWORD_HASH_MAX];
    bool ok = false, stale = false;
    assert_true(password_hash(S("pw"), &light, stored, &e));
    assert_true(password_verify(S("pw"), str_from(stored), &password_default, &ok, &stale, &e));
    assert_true(ok && stale);
    assert_true(password_verify(S("no"), str_from(stored), &password_default, &ok, &stale, &e));
    assert_true(!ok && !stale); /* nothing to re-hash with */
}

/* Openwall's crypt_blowfish test suite. */
static void test_bcrypt_vectors(void **state)
{
    (void)state;
    bool stale = false;
    assert_true(
        verify("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", &stale));
    assert_true(stale);
    assert_true(right("U*U*", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"));
    assert_true(right("U*U*U", "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"));
    assert_true(right("U*U", "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
    assert_true(right("U*U", "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
    assert_false(right("U*V", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
    assert_true(right("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                      "chars after 72 are ignored",
                      "$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui"));
}

/* Go keeps the two spare bits of the salt's last character as they were written. */
static void test_bcrypt_salt_with_spare_bits(void **state)
{
    (void)state;
    assert_true(right("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC/E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
}

static void test_bcrypt_is_not_cut_at_nul(void **state)
{
    (void)state;
    struct err e = {0};
    bool ok = true, stale = true;
    struct str stored = S("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW");
    assert_true(password_verify(S("U*U\0x"), stored, &light, &ok, &stale, &e));
    assert_true(!ok && !stale);
}

static void test_nobody_is_never_right(void **state)
{
    (void)state;
    struct err e = {0};
    struct str forms[] = {{NULL, 0}, S("")};
    for (size_t i = 0; i < 2; i++) {
        bool ok = true, stale = true;
        assert_true(password_verify(S("pw"), forms[i], &light, &ok, &stale, &e));
        assert_true(!ok && !stale);
    }
}

/* Of this thread alone: the machine may be busy. */
static int64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * CLOCK_S + t.tv_nsec / 1000;
}

static int64_t fastest_us(struct str stored)
{
    int64_t best = INT64_MAX;
    for (int i = 0; i < 5; i++) {
        struct err e = {0};
        bool ok, stale;
        int64_t from = cpu_us();
        assert_true(password_verify(S("wrong"), stored, &password_default, &ok, &stale, &e));
        int64_t took = cpu_us() - from;
        best = took < best ? took : best;
    }
    return best;
}

static void test_nobody_costs_the_same(void **state)
{
    (void)state;
    struct err e = {0};
    char stored[PASSWORD_HASH_MAX];
    assert_true(password_hash(S("pw"), &password_default, stored, &e));
    double ratio = (double)fastest_us((struct str){NULL, 0}) / (double)fastest_us(str_from(stored));
    assert_true(ratio > 0.8 && ratio < 1.25);
}

/* clang-format off */
static const char *const unknown[] = {
    "plain text", "$1$abc$def", "$6$salt$hash", "$argon2id", "$argon2id$", "$", "$2b$",
    "$argon2d$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",  /* not for passwords */
    "$argon2id$v=16$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    "$argon2id$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    "$argon2id$v=19$m=262145,t=1,p=1$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc", /* memory */
    "$argon2id$v=19$m=262144,t=4,p=1$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc", /* work */
    "$argon2id$v=19$m=256,t=17,p=1$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    "$argon2id$v=19$m=256,t=2,p=9$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    "$argon2id$v=19$m=7,t=2,p=1$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    "$argon2id$v=19$m=256,t=0,p=1$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    "$argon2id$v=19$m=256,t=2,p=0$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    "$argon2id$v=19$m=0256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    "$argon2id$v=19$m=-256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    "$argon2id$v=19$m=18446744073709551872,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    "$argon2id$v=19$t=2,m=256,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    "$argon2id$v=19$m=256,t=2,p=2,keyid=AA$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    "$argon2id$v=19$m=256,t=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ=$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",   /* padding */
    "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc=",
    "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB_VmZZF4Oo79iDXuL5_0ttZwg2f_5U52iv1cDc",     /* base64url */
    "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHR$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",    /* spare bits */
    "$argon2id$v=19$m=256,t=2,p=2$c29tZQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",          /* short salt */
    "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UA",                                          /* short hash */
    "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$",
    "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ",
    "$argon2id$v=19$m=256,t=2,p=2$$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc$x",
    "$2a$03$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
    "$2a$15$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",                              /* 1.6 s */
    "$2a$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
    "$2a$-5$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
    "$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",                              /* the sign bug */
    "$2$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW0",
    "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe",
    "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeWW",
    "$2a$05$CCCCCCCCCCC*CCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
};
/* clang-format on */

static void test_unknown_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(unknown) / sizeof(*unknown); i++) {
        struct err e = {0};
        bool ok = true, stale = true;
        assert_false(password_hash_known(str_from(unknown[i])));
        assert_false(password_verify(S("password"), str_from(unknown[i]), &light, &ok, &stale, &e));
        assert_int_equal(e.status, 500);
        assert_string_equal(e.code, "password_hash_unknown");
        assert_null(strstr(e.message, unknown[i]));
    }
    assert_false(password_hash_known((struct str){NULL, 0}));
}

/* Each proper prefix and each single foreign byte must be refused or be wrong, never crash. */
static void test_damaged_forms(void **state)
{
    (void)state;
    const struct str whole = S("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$"
                               "bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc");
    for (size_t n = 0; n < whole.n; n++) {
        char *cut = malloc(n ? n : 1); /* a sanitizer sees one byte too many */
        assert_non_null(cut);
        memcpy(cut, whole.p, n);
        password_hash_known(str_of(cut, n));
        if (n > 0) {
            cut[n - 1] = '\xff';
            assert_false(password_hash_known(str_of(cut, n)));
        }
        free(cut);
    }
}

static void test_params_out_of_bounds(void **state)
{
    (void)state;
    const struct password_params bad[] = {{0, 1, 1},   {64, 0, 1}, {64, 1, 0},     {524288, 1, 1},
                                          {64, 17, 1}, {64, 1, 9}, {262144, 4, 1}, {8, 1, 2}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct err e = {0};
        char out[PASSWORD_HASH_MAX] = "untouched";
        assert_false(password_hash(S("pw"), &bad[i], out, &e));
        assert_int_equal(e.status, 500);
        assert_string_equal(out, "untouched");
    }
}

static void test_memory_is_kept_and_given_back(void **state)
{
    (void)state;
    struct err e = {0};
    char out[PASSWORD_HASH_MAX];
    password_release_memory();
    assert_null(region.p);
    assert_true(password_hash(S("pw"), &light, out, &e));
    uint8_t *first = region.p;
    assert_non_null(first);
    assert_true(password_hash(S("pw"), &light, out, &e));
    assert_ptr_equal(region.p, first);
    for (size_t i = 0; i < region.n; i++)
        assert_int_equal(first[i], 0); /* wiped by the library */
    password_release_memory();
    assert_null(region.p);
    password_release_memory();
}

static void test_large_memory_is_not_kept(void **state)
{
    (void)state;
    struct err e = {0};
    char out[PASSWORD_HASH_MAX];
    const struct password_params large = {.memory_kib = 65 * 1024, .passes = 1, .lanes = 1};
    assert_true(password_hash(S("pw"), &large, out, &e));
    assert_null(region.p);
}

static void *hash_and_end(void *arg)
{
    struct err e = {0};
    char out[PASSWORD_HASH_MAX];
    bool *ok = arg;
    *ok = password_hash(S("pw"), &light, out, &e);
    return region.p;
}

/* msync answers ENOMEM for pages that are not mapped. */
static void test_thread_end_unmaps(void **state)
{
    (void)state;
    pthread_t t;
    void *p = NULL;
    bool ok = false;
    assert_int_equal(pthread_create(&t, NULL, hash_and_end, &ok), 0);
    pthread_join(t, &p);
    assert_true(ok && p);
    assert_int_not_equal(msync(p, 65536, MS_ASYNC), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc9106_argon2id),
        cmocka_unit_test(test_reference_strings),
        cmocka_unit_test(test_made_hash_verifies),
        cmocka_unit_test(test_whole_password_counts),
        cmocka_unit_test(test_stale),
        cmocka_unit_test(test_bcrypt_vectors),
        cmocka_unit_test(test_bcrypt_salt_with_spare_bits),
        cmocka_unit_test(test_bcrypt_is_not_cut_at_nul),
        cmocka_unit_test(test_nobody_is_never_right),
        cmocka_unit_test(test_nobody_costs_the_same),
        cmocka_unit_test(test_unknown_forms),
        cmocka_unit_test(test_damaged_forms),
        cmocka_unit_test(test_params_out_of_bounds),
        cmocka_unit_test(test_memory_is_kept_and_given_back),
        cmocka_unit_test(test_large_memory_is_not_kept),
        cmocka_unit_test(test_thread_end_unmaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
