/* SPDX-License-Identifier: Apache-2.0 */
#include "hash.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* FIPS 180-4, example messages of one and two blocks; RFC 3874 for SHA-224. */
#define TWO_BLOCKS "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"

static void test_sha256_vectors(void **state)
{
    (void)state;
    char hex[65];
    hash_sha256_hex(S(""), hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hash_sha256_hex(S("abc"), hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hash_sha256_hex(S(TWO_BLOCKS), hex);
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void test_sha256_long(void **state)
{
    (void)state;
    char hex[65], *a = malloc(1000000);
    assert_non_null(a);
    memset(a, 'a', 1000000);
    hash_sha256_hex(str_of(a, 1000000), hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(a);
}

static void test_sha224_vectors(void **state)
{
    (void)state;
    char hex[57];
    hash_sha224_hex(S(""), hex);
    assert_string_equal(hex, "d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f");
    hash_sha224_hex(S("abc"), hex);
    assert_string_equal(hex, "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7");
    hash_sha224_hex(S(TWO_BLOCKS), hex);
    assert_string_equal(hex, "75388b16512776cc5dba5da1fd890150b0c6455cb4f58b1952522525");
}

static void test_two_parts_are_one_message(void **state)
{
    (void)state;
    const char *text = "a message cut at every place";
    unsigned char whole[32], parts[32];
    hash_sha256(str_from(text), whole);
    for (size_t i = 0; i <= strlen(text); i++) {
        hash_sha256_2(str_of(text, i), str_from(text + i), parts);
        assert_memory_equal(whole, parts, 32);
    }
    hash_sha256_2((struct str){NULL, 0}, str_from(text), parts);
    assert_memory_equal(whole, parts, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256_vectors),
        cmocka_unit_test(test_sha256_long),
        cmocka_unit_test(test_sha224_vectors),
        cmocka_unit_test(test_two_parts_are_one_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
