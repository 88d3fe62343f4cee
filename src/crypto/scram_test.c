/* SPDX-License-Identifier: Apache-2.0 */
#include "scram.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* RFC 7677 §3: user "user", password "pencil". */
#define AUTH_MESSAGE                                                                          \
    "n=user,r=rOprNGfwEbeRWgbNEkqO,"                                                          \
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096," \
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"

static struct str bytes_of(const unsigned char b[32])
{
    return str_of((const char *)b, 32);
}

static void test_rfc7677(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 4096);
    struct str salt = base64_decode(&a, S("W22ZaJ0SNY7soEsUEjb6gQ=="));
    struct str proof = base64_decode(&a, S("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="));
    struct str server_signature =
        base64_decode(&a, S("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
    unsigned char stored[32], server[32], signature[32], client[32], hashed[32];
    assert_true(salt.p && proof.p && server_signature.p);
    scram_keys(S("pencil"), salt, stored, server);

    hmac_sha256(bytes_of(server), S(AUTH_MESSAGE), signature);
    assert_memory_equal(signature, server_signature.p, 32);

    /* What a server does with ClientProof: its hash must be StoredKey. */
    hmac_sha256(bytes_of(stored), S(AUTH_MESSAGE), signature);
    for (size_t i = 0; i < 32; i++)
        client[i] = (unsigned char)(proof.p[i] ^ signature[i]);
    hash_sha256(bytes_of(client), hashed);
    assert_memory_equal(hashed, stored, 32);
    arena_close(&a);
}

static void test_form(void **state)
{
    (void)state;
    char out[SCRAM_VERIFIER_MAX];
    scram_write(S("pencil"), S("0123456789abcdef"), out);
    assert_true(str_starts(str_from(out), S("SCRAM-SHA-256$4096:MDEyMzQ1Njc4OWFiY2RlZg==$")));
    assert_int_equal(strlen(out), 19 + 24 + 1 + 44 + 1 + 44); /* PostgreSQL's parse_scram_secret */
}

static void test_salts_differ(void **state)
{
    (void)state;
    char one[SCRAM_VERIFIER_MAX], two[SCRAM_VERIFIER_MAX];
    scram_verifier(S("pencil"), one);
    scram_verifier(S("pencil"), two);
    assert_string_not_equal(one, two);
    assert_int_equal(strlen(one), strlen(two));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc7677),
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_salts_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
