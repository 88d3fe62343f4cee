/* SPDX-License-Identifier: Apache-2.0 */
#include "hmac.c"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/hex.h"

/* RFC 4231 §4.2 to §4.8, all but the truncated one. Keys and messages in hex. */
static const struct {
    const char *key, *message, *mac;
} vectors[] = {
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     "dddddddddddddddddddddddddddddddddddddddddddddddddd"
     "dddddddddddddddddddddddddddddddddddddddddddddddddd",
     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {"0102030405060708090a0b0c0d0e0f10111213141516171819",
     "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
     "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd",
     "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
};

static struct str unhex(const char *hex, unsigned char *out)
{
    size_t n = strlen(hex) / 2;
    assert_true(hex_decode(str_from(hex), out, n));
    return str_of((const char *)out, n);
}

static void check(struct str key, struct str message, const char *hex)
{
    unsigned char want[32], got[32];
    unhex(hex, want);
    hmac_sha256(key, message, got);
    assert_memory_equal(got, want, 32);
}

static void test_rfc4231(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
        unsigned char key[64], message[64];
        check(unhex(vectors[i].key, key), unhex(vectors[i].message, message), vectors[i].mac);
    }
}

static void test_rfc4231_key_longer_than_a_block(void **state)
{
    (void)state;
    unsigned char key[131];
    memset(key, 0xaa, sizeof(key));
    struct str k = str_of((const char *)key, sizeof(key));
    check(k, S("Test Using Larger Than Block-Size Key - Hash Key First"),
          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    check(k,
          S("This is a test using a larger than block-size key and a larger than block-size data. "
            "The key needs to be hashed before being used by the HMAC algorithm."),
          "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

static void test_empty_key_and_message(void **state)
{
    (void)state;
    struct str absent = {0};
    check(absent, absent, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

struct shared {
    const struct hmac_key *key;
    unsigned char want[32];
    bool ok;
};

static void *use_shared(void *arg)
{
    struct shared *s = arg;
    unsigned char got[32];
    s->ok = true;
    for (int i = 0; i < 2000; i++) {
        hmac_sha256_keyed(s->key, S("shared by threads"), got);
        s->ok = s->ok && memcmp(got, s->want, 32) == 0;
    }
    return NULL;
}

static void test_prepared_key_serves_threads(void **state)
{
    (void)state;
    struct hmac_key *key = hmac_key_new(S("a key"));
    struct shared shared[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        shared[i].key = key;
        hmac_sha256(S("a key"), S("shared by threads"), shared[i].want);
        assert_int_equal(pthread_create(&threads[i], NULL, use_shared, &shared[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_true(shared[i].ok);
    }
    hmac_key_free(key);
    hmac_key_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc4231),
        cmocka_unit_test(test_rfc4231_key_longer_than_a_block),
        cmocka_unit_test(test_empty_key_and_message),
        cmocka_unit_test(test_prepared_key_serves_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
