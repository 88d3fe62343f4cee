/* SPDX-License-Identifier: Apache-2.0 */
#include "ed25519.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/hex.h"

/* RFC 8032 §7.1, tests 1 to 3. */
static void vectors(void **state)
{
    static const struct {
        const char *seed, *message, *signature;
    } rows[] = {
        {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e3970"
         "1cf9b46bd25bf5f0595bbe24655141438e7a100b"},
        {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613"
         "d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
        {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760"
         "984dc6594a7c15e9716ed28dc027beceea1ec40a"},
    };
    struct err e;
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned char seed[32], message[2], signature[64];
        char hex[129];
        size_t n = strlen(rows[i].message) / 2;
        assert_true(hex_decode(str_from(rows[i].seed), seed, 32));
        assert_true(n == 0 || hex_decode(str_from(rows[i].message), message, n));
        assert_true(
            ed25519_sign(str_of((char *)seed, 32), str_of((char *)message, n), signature, &e));
        hex_encode(signature, sizeof(signature), hex);
        assert_string_equal(hex, rows[i].signature);
    }
    assert_false(ed25519_sign(S("short"), S(""), (unsigned char[64]){0}, &e));
    assert_string_equal(e.code, "signature_failed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(vectors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
