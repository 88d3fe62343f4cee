/* SPDX-License-Identifier: Apache-2.0 */
#include "jwt.c"

#include <stdio.h>

#include "crypto/jwt_forge.h"

/* What a secret's key set says to a header and claims that are signed with that very secret. */
static const char *outcome_signed(struct str header, struct str payload,
                                  const struct jwt_check *check)
{
    struct jwt_keys *k = secret_keys();
    struct jwk key = secret_key(S(SECRET));
    struct buf token = forge(&key, header, payload);
    const char *code = outcome_at(k, buf_view(&token), check);
    buf_free(&token);
    jwk_close(&key);
    jwt_keys_free(k);
    return code;
}

#define assert_header(header, code) \
    assert_string_equal(outcome_signed(S(header), S("{\"sub\":\"1\"," EXP "}"), &now), code)
#define assert_claims(claims, code) \
    assert_string_equal(outcome_signed(S(HS256), S(claims), &now), code)
#define assert_lenient(claims, code) \
    assert_string_equal(outcome_signed(S(HS256), S(claims), &lenient), code)

/* ---- attacks on the algorithm ---------------------------------------------------------------- */

static void test_alg_none(void **state)
{
    (void)state;
    static const char *const names[] = {"none", "None", "nOnE", "NONE", "none ", "", "null"};
    struct jwt_keys *sets[] = {secret_keys(), set_keys((struct str){0}), set_keys(S(SECRET))};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names) * 3; i++) {
        struct buf b;
        char header[64];
        snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"ec\"}", names[i / 3]);
        buf_init(&b, 4096);
        base64_put_url(&b, str_from(header));
        buf_char(&b, '.');
        base64_put_url(&b, S("{" EXP "}"));
        assert_string_equal(outcome(sets[i % 3], buf_view(&b)), "jwt_malformed"); /* two parts */
        buf_char(&b, '.');
        assert_string_equal(outcome(sets[i % 3], buf_view(&b)), "jwt_malformed"); /* no signature */
        buf_str(&b, S("AAAA"));
        assert_string_equal(outcome(sets[i % 3], buf_view(&b)), "jwt_alg");
        buf_free(&b);
    }
    for (size_t i = 0; i < 3; i++)
        jwt_keys_free(sets[i]);
    assert_header("{\"alg\":\"none\"}", "jwt_alg"); /* although rightly signed */
    assert_header("{\"alg\":\"nOnE\"}", "jwt_alg");
}

static void test_alg_must_be_the_keys(void **state)
{
    (void)state;
    assert_header("{\"alg\":\"HS256\"}", "");
    assert_header("{\"alg\":\"hs256\"}", "jwt_alg");
    assert_header("{\"alg\":\"HS256 \"}", "jwt_alg");
    assert_header("{\"alg\":\"HS384\"}", "jwt_alg");
    assert_header("{\"alg\":\"HS512\"}", "jwt_alg");
    assert_header("{\"alg\":\"RS256\"}", "jwt_alg");
    assert_header("{\"alg\":\"a name of an algorithm that has no end\"}", "jwt_malformed");
    assert_header("{\"alg\":[\"HS256\"]}", "jwt_malformed");
    assert_header("{\"alg\":{\"alg\":\"HS256\"}}", "jwt_malformed");
    assert_header("{\"alg\":256}", "jwt_malformed");
    assert_header("{\"alg\":null}", "jwt_malformed");
    assert_header("{\"alg\":true}", "jwt_malformed");
    assert_header("{\"alg\":\"HS256\\u0000\"}", "jwt_malformed");
    assert_header("{\"ALG\":\"HS256\"}", "jwt_malformed");
    assert_header("{\"typ\":\"JWT\"}", "jwt_malformed");
    assert_header("{}", "jwt_malformed");
}

/* Each key's rightful signature under each other key's kid and each other algorithm. */
static void test_alg_of_another_key(void **state)
{
    (void)state;
    static const char *const signers[] = {SIGNING(P256_PARTS), SIGNING(RSA_PARTS),
                                          SIGNING(OKP_PARTS), SIGNING(OCT_PARTS)};
    static const char *const kids[] = {"ec", "rsa", "ed", "oct"};
    static const char *const names[] = {"ES256", "RS256", "EdDSA", "HS256"};
    struct jwt_keys *k = set_keys(S(SECRET));
    for (int i = 0; i < 4 * 4 * 4; i++) {
        int signer = i / 16, kid = i / 4 % 4, alg = i % 4;
        char header[64];
        struct jwk key = key_of(signers[signer]);
        snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"%s\"}", names[alg], kids[kid]);
        struct buf token = forge(&key, str_from(header), S("{" EXP "}"));
        const char *want = kid != alg ? "jwt_alg" : signer != kid ? "jwt_signature" : "";
        assert_string_equal(outcome(k, buf_view(&token)), want);
        buf_free(&token);
        jwk_close(&key);
    }
    jwt_keys_free(k);
}

/* The public key, in every form that a server might feed to an HMAC, as the secret. */
static void test_key_confusion(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 16384);
    struct jwt_keys *k = set_keys(S(SECRET));
    struct str secrets[] = {
        base64_decode_url(&a, S(RSA_N)),
        S(RSA_N),
        S("{" RSA_PUBLIC "}"),
        S("{" RSA_PUBLIC ",\"kid\":\"rsa\",\"key_ops\":[\"verify\"]}"),
        buf_view(&k->keys[1].published),
        base64_decode_url(&a, S("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU")),
        base64_decode_url(&a, S(OKP_X)),
    };
    static const char *const headers[] = {
        "{\"alg\":\"HS256\",\"kid\":\"rsa\"}", "{\"alg\":\"HS256\",\"kid\":\"ec\"}",
        "{\"alg\":\"HS256\",\"kid\":\"ed\"}", "{\"alg\":\"HS256\"}"};
    static const char *const codes[] = {"jwt_alg", "jwt_alg", "jwt_alg", "jwt_signature"};
    for (size_t i = 0; i < sizeof(secrets) / sizeof(*secrets) * 4; i++) {
        struct jwk key = secret_key(secrets[i / 4]);
        struct buf token = forge(&key, str_from(headers[i % 4]), S("{" EXP "}"));
        assert_string_equal(outcome(k, buf_view(&token)), codes[i % 4]);
        buf_free(&token);
        jwk_close(&key);
    }
    jwt_keys_free(k);
    arena_close(&a);
}

/* ---- attacks on the header ------------------------------------------------------------------- */

static void test_kid_is_only_compared(void **state)
{
    (void)state;
    static const char *const kids[] = {"../../../../dev/null",
                                       "/dev/null",
                                       "file:///dev/null",
                                       "ec' OR '1'='1",
                                       "x' UNION SELECT 'key' --",
                                       "ec\\u0020",
                                       " ec",
                                       "EC",
                                       "ec.",
                                       "$(id)",
                                       "|id",
                                       "http://127.0.0.1/k"};
    struct jwt_keys *k = set_keys((struct str){0});
    struct jwk ec = key_of(SIGNING(P256_PARTS)),
               empty = secret_key(S("                                "));
    for (size_t i = 0; i < sizeof(kids) / sizeof(*kids) * 2; i++) {
        char header[128];
        const struct jwk *key = i % 2 ? &ec : &empty;
        snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"%s\"}", key->alg->name,
                 kids[i / 2]);
        struct buf token = forge(key, str_from(header), S("{" EXP "}"));
        assert_string_not_equal(outcome(k, buf_view(&token)), "");
        buf_free(&token);
    }
    jwk_close(&ec);
    jwk_close(&empty);
    jwt_keys_free(k);
}

static void test_kid_forms(void **state)
{
    (void)state;
    assert_header("{\"alg\":\"HS256\",\"kid\":7}", "jwt_malformed");
    assert_header("{\"alg\":\"HS256\",\"kid\":[\"x\"]}", "jwt_malformed");
    assert_header("{\"alg\":\"HS256\",\"kid\":{}}", "jwt_malformed");
    assert_header("{\"alg\":\"HS256\",\"kid\":\"a\\u0000b\"}", "jwt_malformed");
    struct buf b;
    buf_init(&b, 16384);
    buf_str(&b, S("{\"alg\":\"HS256\",\"kid\":\""));
    for (int i = 0; i < 9000; i++)
        buf_char(&b, 'k');
    buf_str(&b, S("\"}"));
    assert_string_equal(outcome_signed(buf_view(&b), S("{" EXP "}"), &now), "jwt_malformed");
    buf_free(&b);
}

/* A key that the sender brings along, or names, is no key of ours (CVE-2018-0114). */
static void test_embedded_keys_are_ignored(void **state)
{
    (void)state;
    static const char *const extras[] = {"\"jwk\":{" OCT_PARTS "}",
                                         "\"jwk\":{" P256_PUBLIC "}",
                                         "\"jku\":\"http://127.0.0.1:1/jwks\"",
                                         "\"x5u\":\"http://127.0.0.1:1/cert\"",
                                         "\"x5c\":[\"MIIB\"]",
                                         "\"x5t\":\"AAAA\"",
                                         "\"x5t#S256\":\"AAAA\""};
    struct jwk foreign = key_of(SIGNING(OCT_PARTS)), own = secret_key(S(SECRET));
    struct jwt_keys *k = secret_keys();
    for (size_t i = 0; i < sizeof(extras) / sizeof(*extras); i++) {
        char header[1024];
        snprintf(header, sizeof(header), "{\"alg\":\"HS256\",%s}", extras[i]);
        struct buf stolen = forge(&foreign, str_from(header), S("{" EXP "}"));
        struct buf good = forge(&own, str_from(header), S("{" EXP "}"));
        assert_string_equal(outcome(k, buf_view(&stolen)), "jwt_signature");
        assert_string_equal(outcome(k, buf_view(&good)), "");
        buf_free(&stolen);
        buf_free(&good);
    }
    jwk_close(&foreign);
    jwk_close(&own);
    jwt_keys_free(k);
}

static void test_critical_extensions(void **state)
{
    (void)state;
    assert_header("{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}", "jwt_malformed");
    assert_header("{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":true}", "jwt_malformed");
    assert_header("{\"alg\":\"HS256\",\"crit\":[]}", "jwt_malformed");
    assert_header("{\"alg\":\"HS256\",\"crit\":\"\"}", "jwt_malformed");
    assert_header("{\"alg\":\"HS256\",\"crit\":false}", "jwt_malformed");
    assert_header("{\"alg\":\"HS256\",\"\\u0063rit\":[\"x\"]}", "jwt_malformed");
    assert_header("{\"alg\":\"HS256\",\"b64\":false}", "jwt_malformed");
    assert_header("{\"alg\":\"HS256\",\"b64\":0}", "jwt_malformed");
    assert_header("{\"alg\":\"HS256\",\"b64\":true}", "");
    assert_header("{\"alg\":\"HS256\",\"private\":{\"crit\":[\"x\"]}}", "");
}

static void test_header_forms(void **state)
{
    (void)state;
    assert_header("{\"alg\":\"RS256\",\"alg\":\"HS256\"}", "jwt_malformed");
    assert_header("{\"alg\":\"HS256\",\"\\u0061lg\":\"HS256\"}", "jwt_malformed");
    assert_header("{\"alg\":\"HS256\",\"kid\":\"a\",\"kid\":\"b\"}", "jwt_malformed");
    assert_header("{\"alg\":\"HS256\",\"x\":1,\"x\":1}", "jwt_malformed");
    assert_header("{\"alg\":\"HS256\"}}", "jwt_malformed");
    assert_header("{\"alg\":\"HS256\"} x", "jwt_malformed");
    assert_header("{\"alg\":\"HS256\",}", "jwt_malformed");
    assert_header("{'alg':'HS256'}", "jwt_malformed");
    assert_header("{\"alg\":\"HS256\"}\0", "jwt_malformed");
    assert_header("\xef\xbb\xbf{\"alg\":\"HS256\"}", "jwt_malformed");
    assert_header("{\"alg\":\"HS256\",\"x\":\"\xff\"}", "jwt_malformed");
    assert_header("[\"HS256\"]", "jwt_malformed");
    assert_header("\"HS256\"", "jwt_malformed");
    assert_header("null", "jwt_malformed");
    assert_header("HS256", "jwt_malformed");
}

/* ---- attacks on the claims ------------------------------------------------------------------- */

static void test_claims_forms(void **state)
{
    (void)state;
    assert_claims("{" EXP "}", "");
    assert_claims(" {\r\n\t" EXP " } ", "");
    assert_claims("{" EXP ",\"role\":\"anon\",\"role\":\"service_role\"}", "jwt_malformed");
    assert_claims("{" EXP ",\"role\":\"anon\",\"\\u0072ole\":\"service_role\"}", "jwt_malformed");
    assert_claims("{" EXP ",\"exp\":9999999999}", "jwt_malformed");
    assert_claims("{" EXP ",\"a\":{\"b\":1,\"b\":2}}", "jwt_malformed");
    assert_claims("[{" EXP "}]", "jwt_malformed");
    assert_claims("\""
                  "x"
                  "\"",
                  "jwt_malformed");
    assert_claims("null", "jwt_malformed");
    assert_claims("17", "jwt_malformed");
    assert_claims("x", "jwt_malformed");
    assert_claims("{" EXP "}{" EXP "}", "jwt_malformed");
    assert_claims("{" EXP "} \0", "jwt_malformed");
    assert_claims("{" EXP ",\"x\":\"\xc0\xaf\"}", "jwt_malformed");
    assert_claims("{" EXP ",\"x\":\"\\u0000\"}", "jwt_malformed");
    assert_claims("{" EXP ",\"x\":\"\\ud800\"}", "jwt_malformed");
    assert_claims("{" EXP ",\"x\":NaN}", "jwt_malformed");
    assert_claims("{" EXP ",\"x\":1e999}", "jwt_malformed");
    assert_claims("{" EXP ",\"x\":\"\n\"}", "jwt_malformed");
    assert_claims("\xef\xbb\xbf{" EXP "}", "jwt_malformed");
}

static void test_nesting(void **state)
{
    (void)state;
    for (int depth = 60; depth <= 4000; depth = depth < 70 ? depth + 1 : depth * 2) {
        struct buf b;
        buf_init(&b, 65536);
        buf_str(&b, S("{" EXP ",\"x\":"));
        for (int i = 1; i < depth; i++)
            buf_char(&b, '[');
        for (int i = 1; i < depth; i++)
            buf_char(&b, ']');
        buf_char(&b, '}');
        assert_string_equal(outcome_signed(S(HS256), buf_view(&b), &now),
                            depth <= 64 ? "" : "jwt_malformed");
        buf_free(&b);
    }
}

/* Also a rightly signed one: what an attempt costs is bounded before anything is computed. */
static void test_large_tokens_are_refused(void **state)
{
    (void)state;
    static char text[20000];
    for (size_t n = 12000; n <= sizeof(text); n += 8000) {
        memset(text, ' ', n);
        memcpy(text, "{" EXP, sizeof("{" EXP) - 1);
        text[n - 1] = '}';
        assert_string_equal(outcome_signed(S(HS256), str_of(text, n), &now),
                            n < 12200 ? "" : "jwt_malformed");
    }
}

static void test_exp(void **state)
{
    (void)state;
    assert_claims("{}", "jwt_malformed");
    assert_lenient("{}", "");
    assert_claims("{\"exp\":null}", "jwt_malformed");
    assert_lenient("{\"exp\":null}", "");
    assert_claims("{\"exp\":1700000000}", "jwt_expired"); /* on or after */
    assert_claims("{\"exp\":1700000001}", "");
    assert_claims("{\"exp\":1700000000.5}", "");
    assert_claims("{\"exp\":1699999999.999}", "jwt_expired");
    assert_claims("{\"exp\":1.7000000005e9}", "");
    assert_claims("{\"exp\":17e8}", "jwt_expired");
    assert_claims("{\"exp\":0}", "jwt_expired");
    assert_claims("{\"exp\":-0}", "jwt_expired");
    assert_claims("{\"exp\":-1}", "jwt_expired");
    assert_claims("{\"exp\":-9223372036854775808}", "jwt_expired");
    assert_claims("{\"exp\":-1e300}", "jwt_expired");
    assert_claims("{\"exp\":9223372036854775807}", "");
    assert_claims("{\"exp\":9223372036854}", ""); /* the last before microseconds overflow */
    assert_claims("{\"exp\":9223372036855}", "");
    assert_claims("{\"exp\":1e300}", "");
    assert_claims("{\"exp\":1e400}", "jwt_malformed");
    assert_claims("{\"exp\":99999999999999999999}", "");
    assert_claims("{\"exp\":-99999999999999999999}", "jwt_expired");
    assert_claims("{\"exp\":\"1700003600\"}", "jwt_malformed");
    assert_claims("{\"exp\":true}", "jwt_malformed");
    assert_claims("{\"exp\":[1700003600]}", "jwt_malformed");
    assert_claims("{\"exp\":{}}", "jwt_malformed");
    assert_lenient("{\"exp\":\"1700003600\"}", "jwt_malformed");
    assert_lenient("{\"exp\":1}", "jwt_expired");
    assert_claims("{\"EXP\":1700003600}", "jwt_malformed");
    assert_claims("{\"\\u0065xp\":1700003600}", "");
    assert_claims("{\"x\":{\"exp\":1700003600}}", "jwt_malformed");
}

static void test_nbf_and_iat(void **state)
{
    (void)state;
    assert_claims("{" EXP ",\"nbf\":1700000000}", "");
    assert_claims("{" EXP ",\"nbf\":1700000001}", "jwt_not_yet");
    assert_claims("{" EXP ",\"nbf\":1700000000.5}", "jwt_not_yet");
    assert_claims("{" EXP ",\"nbf\":-5}", "");
    assert_claims("{" EXP ",\"nbf\":1e300}", "jwt_not_yet");
    assert_claims("{" EXP ",\"nbf\":null}", "");
    assert_claims("{" EXP ",\"nbf\":\"0\"}", "jwt_malformed");
    assert_claims("{" EXP ",\"nbf\":false}", "jwt_malformed");
    assert_claims("{" EXP ",\"iat\":\"now\"}", "jwt_malformed");
    assert_claims("{" EXP ",\"iat\":99999999999}", ""); /* says when, not whether */
    assert_claims("{\"exp\":1,\"nbf\":99999999999}", "jwt_expired");
}

/* What is said about claims must not be said before the signature is known to be right. */
static void test_signature_comes_first(void **state)
{
    (void)state;
    static const char *const payloads[] = {"{\"exp\":1}", "{}", "x",
                                           "{" EXP ",\"nbf\":99999999999}"};
    struct jwk foreign = key_of(SIGNING(OCT_PARTS));
    struct jwt_keys *k = secret_keys();
    for (size_t i = 0; i < sizeof(payloads) / sizeof(*payloads); i++) {
        struct buf token = forge(&foreign, S(HS256), str_from(payloads[i]));
        assert_string_equal(outcome(k, buf_view(&token)), "jwt_signature");
        buf_free(&token);
    }
    jwk_close(&foreign);
    jwt_keys_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alg_none),
        cmocka_unit_test(test_alg_must_be_the_keys),
        cmocka_unit_test(test_alg_of_another_key),
        cmocka_unit_test(test_key_confusion),
        cmocka_unit_test(test_kid_is_only_compared),
        cmocka_unit_test(test_kid_forms),
        cmocka_unit_test(test_embedded_keys_are_ignored),
        cmocka_unit_test(test_critical_extensions),
        cmocka_unit_test(test_header_forms),
        cmocka_unit_test(test_claims_forms),
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_large_tokens_are_refused),
        cmocka_unit_test(test_exp),
        cmocka_unit_test(test_nbf_and_iat),
        cmocka_unit_test(test_signature_comes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
