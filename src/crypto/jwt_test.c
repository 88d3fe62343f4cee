/* SPDX-License-Identifier: Apache-2.0 */
#include "jwt.c"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "crypto/jwk_vectors.h"

#define SECRET "a secret of tests, 32 bytes long"
#define NOW_S  1700000000LL
#define EXP    "\"exp\":1700003600"

static const struct jwt_check now = {.now_us = NOW_S * 1000000, .allow_no_exp = false};
static const struct jwt_check lenient = {.now_us = NOW_S * 1000000, .allow_no_exp = true};

/* ---- tools ----------------------------------------------------------------------------------- */

static struct jwt_keys *secret_keys(void)
{
    struct jwt_keys *k = NULL;
    struct err e = {0};
    assert_true(jwt_keys_from_secret(S(SECRET), (struct str){0}, &k, &e));
    return k;
}

#define SET                                                      \
    "[{" P256_PARTS ",\"kid\":\"ec\",\"key_ops\":[\"sign\"]},"   \
    "{" RSA_PUBLIC ",\"kid\":\"rsa\",\"key_ops\":[\"verify\"]}," \
    "{" OKP_PUBLIC ",\"kid\":\"ed\",\"key_ops\":[\"verify\"]},"  \
    "{" OCT_PARTS ",\"kid\":\"oct\",\"key_ops\":[\"verify\"]}]"

static struct jwt_keys *set_keys(struct str fallback)
{
    struct jwt_keys *k = NULL;
    struct err e = {0};
    if (!jwt_keys_from_jwks(S(SET), fallback, &k, &e))
        fail_msg("%s", e.message);
    return k;
}

static struct jwk key_of(const char *json)
{
    struct jwk k;
    struct err e = {0};
    assert_true(jwk_read(str_from(json), &k, &e));
    return k;
}

static struct jwk secret_key(struct str secret)
{
    struct jwk k;
    struct err e = {0};
    assert_true(jwk_from_secret(secret, (struct str){0}, &k, &e));
    return k;
}

/* A token with any header and payload, rightly signed by key. */
static struct buf forge(const struct jwk *key, struct str header, struct str payload)
{
    struct buf b;
    unsigned char sig[JWS_SIGNATURE_MAX];
    size_t n;
    struct err e = {0};
    buf_init(&b, 1 << 20);
    base64_put_url(&b, header);
    buf_char(&b, '.');
    base64_put_url(&b, payload);
    assert_true(jws_sign(key, buf_view(&b), sig, &n, &e));
    buf_char(&b, '.');
    base64_put_url(&b, str_of((char *)sig, n));
    assert_false(b.failed);
    return b;
}

/* "" when the token is good, else the error's code. */
static const char *outcome_at(const struct jwt_keys *k, struct str token,
                              const struct jwt_check *check)
{
    static char claims_untouched[1];
    struct err e = {0};
    struct arena a;
    arena_init(&a, 256 * 1024);
    struct str claims = {claims_untouched, 0};
    /* In a block of its own, so that a sanitizer sees one byte too many. */
    char *copy = malloc(token.n ? token.n : 1);
    assert_non_null(copy);
    if (token.n)
        memcpy(copy, token.p, token.n);
    bool ok = jwt_verify(k, str_of(copy, token.n), check, &a, &claims, &e);
    free(copy);
    assert_int_equal(ok, e.status == 0);
    assert_true(ok || (e.status == 401 && e.message[0] && claims.p == claims_untouched));
    if (ok)
        assert_true(claims.n > 0 && claims.p[0] != '\0' && json_valid(claims, &e));
    assert_int_equal(ERR_peek_error(), 0);
    arena_close(&a);
    return ok ? "" : e.code;
}

static const char *outcome(const struct jwt_keys *k, struct str token)
{
    return outcome_at(k, token, &now);
}

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

#define HS256 "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define assert_header(header, code) \
    assert_string_equal(outcome_signed(S(header), S("{\"sub\":\"1\"," EXP "}"), &now), code)
#define assert_claims(claims, code) \
    assert_string_equal(outcome_signed(S(HS256), S(claims), &now), code)
#define assert_lenient(claims, code) \
    assert_string_equal(outcome_signed(S(HS256), S(claims), &lenient), code)

/* ---- good tokens ----------------------------------------------------------------------------- */

static void test_sign_and_verify(void **state)
{
    (void)state;
    const struct str text = S("{\"sub\":\"1\"," EXP ",\"role\":\"authenticated\"}");
    struct jwt_keys *sets[] = {secret_keys(), set_keys((struct str){0}), set_keys(S(SECRET))};
    for (size_t i = 0; i < 3; i++) {
        struct buf b;
        struct err e = {0};
        struct arena a;
        struct str claims;
        arena_init(&a, 65536);
        buf_init(&b, 65536);
        buf_str(&b, S("before:"));
        assert_true(jwt_sign(sets[i], text, &b, &e));
        assert_true(str_starts(buf_view(&b), S("before:")));
        assert_true(jwt_verify(sets[i], str_from_at(buf_view(&b), 7), &now, &a, &claims, &e));
        assert_true(str_eq(claims, text));
        buf_free(&b);
        arena_close(&a);
        jwt_keys_free(sets[i]);
    }
}

/* RFC 7519 §3.1 (the same token as RFC 7515 A.1): white space in header and claims. */
static void test_rfc7519_example(void **state)
{
    (void)state;
    const struct jwt_check then = {.now_us = 1300819379LL * 1000000};
    const struct jwt_check late = {.now_us = 1300819380LL * 1000000};
    struct arena a;
    struct err e = {0};
    struct jwt_keys *k = NULL;
    arena_init(&a, 4096);
    struct str secret = base64_decode_url(
        &a,
        S("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"));
    assert_true(jwt_keys_from_secret(secret, (struct str){0}, &k, &e));
    assert_string_equal(outcome_at(k, S(A1_INPUT "." A1_SIGNATURE), &then), "");
    assert_string_equal(outcome_at(k, S(A1_INPUT "." A1_SIGNATURE), &late), "jwt_expired");
    jwt_keys_free(k);
    arena_close(&a);
}

static void test_header_is_gotrues(void **state)
{
    (void)state;
    struct jwt_keys *k = secret_keys(), *named = NULL;
    struct err e = {0};
    struct buf b;
    buf_init(&b, 4096);
    assert_true(jwt_sign(k, S("{}"), &b, &e));
    assert_true(str_starts(buf_view(&b), S("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.")));
    assert_true(jwt_keys_from_secret(S(SECRET), S("a\"<kid>"), &named, &e));
    buf_reset(&b);
    assert_true(jwt_sign(named, S("{" EXP "}"), &b, &e));
    struct arena a;
    struct str head, rest;
    arena_init(&a, 4096);
    str_cut(buf_view(&b), '.', &head, &rest);
    assert_true(str_is(base64_decode_url(&a, head),
                       "{\"alg\":\"HS256\",\"kid\":\"a\\\"\\u003ckid\\u003e\",\"typ\":\"JWT\"}"));
    assert_string_equal(outcome(named, buf_view(&b)), "");
    buf_free(&b);
    arena_close(&a);
    jwt_keys_free(k);
    jwt_keys_free(named);
}

/* Another writer's order of header members must do as well as ours. */
static void test_each_key_by_its_kid(void **state)
{
    (void)state;
    struct jwt_keys *k = set_keys(S(SECRET));
    static const struct {
        const char *key, *header;
    } cases[] = {
        {SIGNING(P256_PARTS), "{\"typ\":\"JWT\",\"kid\":\"ec\",\"alg\":\"ES256\"}"},
        {SIGNING(RSA_PARTS), "{\"alg\":\"RS256\",\"kid\":\"rsa\"}"},
        {SIGNING(OKP_PARTS), "{ \"alg\" : \"EdDSA\" ,\n\"kid\":\"\\u0065d\" }"},
        {SIGNING(OCT_PARTS), "{\"alg\":\"HS256\",\"kid\":\"oct\"}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct jwk key = key_of(cases[i].key);
        struct buf token = forge(&key, str_from(cases[i].header), S("{" EXP "}"));
        assert_string_equal(outcome(k, buf_view(&token)), "");
        buf_free(&token);
        jwk_close(&key);
    }
    jwt_keys_free(k);
}

static void test_fallback_secret(void **state)
{
    (void)state;
    struct jwt_keys *with = set_keys(S(SECRET)), *without = set_keys((struct str){0});
    static const char *const headers[] = {HS256, "{\"alg\":\"HS256\",\"kid\":\"unknown\"}",
                                          "{\"alg\":\"HS256\",\"kid\":null}",
                                          "{\"alg\":\"HS256\",\"kid\":\"\"}"};
    struct jwk key = secret_key(S(SECRET));
    for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
        struct buf token = forge(&key, str_from(headers[i]), S("{" EXP "}"));
        assert_string_equal(outcome(with, buf_view(&token)), "");
        assert_string_equal(outcome(without, buf_view(&token)), "jwt_signature");
        buf_free(&token);
    }
    /* the fallback is for tokens without a known kid only */
    struct buf token = forge(&key, S("{\"alg\":\"HS256\",\"kid\":\"oct\"}"), S("{" EXP "}"));
    assert_string_equal(outcome(with, buf_view(&token)), "jwt_signature");
    buf_free(&token);
    jwk_close(&key);
    jwt_keys_free(with);
    jwt_keys_free(without);
}

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

/* ---- attacks on the form --------------------------------------------------------------------- */

static void test_segments(void **state)
{
    (void)state;
    static const char *const tokens[] = {
        "",       ".",      "..",    "...",          "a",
        "a.b",    "a.b.",   ".b.c",  "a..c",         "a.b.c.d",
        "a.b.c.", ".a.b.c", "a.b.c", "Bearer a.b.c", "{\"payload\":\"\",\"signatures\":[]}"};
    struct jwt_keys *k = secret_keys();
    for (size_t i = 0; i < sizeof(tokens) / sizeof(*tokens); i++)
        assert_string_equal(outcome(k, str_from(tokens[i])), "jwt_malformed");
    assert_string_equal(outcome(k, (struct str){NULL, 0}), "jwt_malformed");
    jwt_keys_free(k);
}

/* One foreign byte put in, or put in the place of another, anywhere: never accepted. */
static void test_foreign_bytes(void **state)
{
    (void)state;
    static const char foreign[] = " \t\r\n=+/%.\0\x80\xff";
    struct jwt_keys *k = secret_keys();
    struct err e = {0};
    struct buf b, bad;
    buf_init(&b, 4096);
    buf_init(&bad, 4096);
    assert_true(jwt_sign(k, S("{" EXP "}"), &b, &e));
    for (size_t at = 0; at <= b.n; at++) {
        for (size_t i = 0; i < sizeof(foreign) - 1; i++) {
            for (size_t over = 0; over < 2 && at + over <= b.n; over++) {
                if (over && b.p[at] == foreign[i])
                    continue;
                buf_reset(&bad);
                buf_add(&bad, b.p, at);
                buf_char(&bad, foreign[i]);
                buf_add(&bad, b.p + at + over, b.n - at - over);
                assert_string_not_equal(outcome(k, buf_view(&bad)), "");
            }
        }
    }
    buf_free(&b);
    buf_free(&bad);
    jwt_keys_free(k);
}

/* Every other last character of the signature, those that carry the same bits included. */
static void test_not_malleable(void **state)
{
    (void)state;
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    struct jwt_keys *sets[] = {secret_keys(), set_keys((struct str){0})};
    for (size_t s = 0; s < 2; s++) {
        struct err e = {0};
        struct buf b;
        buf_init(&b, 4096);
        assert_true(jwt_sign(sets[s], S("{" EXP "}"), &b, &e));
        char last = b.p[b.n - 1];
        for (size_t i = 0; i < 64; i++) {
            b.p[b.n - 1] = alphabet[i];
            assert_int_equal(outcome(sets[s], buf_view(&b))[0] == '\0', alphabet[i] == last);
        }
        buf_free(&b);
        jwt_keys_free(sets[s]);
    }
}

static void test_each_prefix(void **state)
{
    (void)state;
    struct jwt_keys *k = set_keys(S(SECRET));
    struct err e = {0};
    struct buf b;
    buf_init(&b, 4096);
    assert_true(jwt_sign(k, S("{" EXP "}"), &b, &e));
    for (size_t n = 0; n < b.n; n++)
        assert_string_not_equal(outcome(k, str_of(b.p, n)), "");
    assert_string_equal(outcome(k, buf_view(&b)), "");
    buf_free(&b);
    jwt_keys_free(k);
}

static void test_size(void **state)
{
    (void)state;
    static char text[65536];
    struct jwt_keys *k = secret_keys();
    memset(text, 'A', sizeof(text));
    assert_string_equal(outcome(k, str_of(text, sizeof(text))), "jwt_malformed");
    text[30000] = text[60000] = '.';
    assert_string_equal(outcome(k, str_of(text, sizeof(text))), "jwt_malformed");
    memset(text, '.', sizeof(text));
    assert_string_equal(outcome(k, str_of(text, sizeof(text))), "jwt_malformed");

    /* what is signed is never too large to be verified */
    struct err e = {0};
    struct buf b;
    buf_init(&b, 1 << 20);
    size_t fits = 0;
    for (size_t n = 12100; n < 12300; n++) {
        memset(text, 'x', n);
        int head = snprintf(text, 64, "{" EXP ",\"x\":\"");
        text[head] = 'x';
        memcpy(text + n - 2, "\"}", 2);
        buf_reset(&b);
        buf_str(&b, S("kept"));
        e = (struct err){0};
        bool made = jwt_sign(k, str_of(text, n), &b, &e);
        if (made)
            assert_string_equal(outcome(k, str_from_at(buf_view(&b), 4)), "");
        else
            assert_string_equal(e.code, "jwt_too_large");
        assert_true(made || (str_is(buf_view(&b), "kept") && !b.failed));
        fits = made ? n : fits;
    }
    assert_true(fits > 12100 && fits < 12299);
    buf_free(&b);

    buf_init(&b, 40); /* the caller's bound */
    assert_false(jwt_sign(k, S("{" EXP "}"), &b, &e));
    assert_string_equal(e.code, "jwt_too_large");
    buf_free(&b);
    jwt_keys_free(k);
}

static void test_small_arena_is_an_error(void **state)
{
    (void)state;
    struct jwt_keys *k = secret_keys();
    struct err e = {0};
    struct buf b;
    buf_init(&b, 4096);
    assert_true(jwt_sign(k, S("{" EXP "}"), &b, &e));
    for (size_t budget = 0; budget < 200; budget++) {
        struct arena a;
        struct str claims = {0};
        e = (struct err){0};
        arena_init(&a, budget);
        bool ok = jwt_verify(k, buf_view(&b), &now, &a, &claims, &e);
        assert_int_equal(ok, claims.p != NULL);
        assert_int_equal(ok, e.status == 0);
        arena_close(&a);
    }
    buf_free(&b);
    jwt_keys_free(k);
}

/* Signatures of other forms and lengths. */
static void test_ecdsa_forms(void **state)
{
    (void)state;
    struct jwt_keys *k = set_keys(S(SECRET));
    struct arena a;
    struct err e = {0};
    struct buf b;
    arena_init(&a, 65536);
    buf_init(&b, 4096);
    assert_true(jwt_sign(k, S("{" EXP "}"), &b, &e));
    struct parts p = {0};
    assert_true(split(buf_view(&b), &p, &e));
    struct str raw = base64_decode_url(&a, p.signature);
    assert_int_equal(raw.n, 64);

    unsigned char der[80], longer[68] = {0};
    ECDSA_SIG *sig = ECDSA_SIG_new();
    unsigned char *end = der;
    ECDSA_SIG_set0(sig, BN_bin2bn((const unsigned char *)raw.p, 32, NULL),
                   BN_bin2bn((const unsigned char *)raw.p + 32, 32, NULL));
    size_t der_n = (size_t)i2d_ECDSA_SIG(sig, &end);
    ECDSA_SIG_free(sig);
    memcpy(longer + 1, raw.p, 32); /* 33-byte integers with a zero in front */
    memcpy(longer + 34, raw.p + 32, 32);
    const struct str forms[] = {
        str_of((char *)der, der_n), str_of(raw.p, 63),          str_of(raw.p, 32),
        str_of((char *)longer, 66), str_of((char *)longer, 65),
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        struct buf bad;
        buf_init(&bad, 4096);
        buf_str(&bad, p.signed_text);
        buf_char(&bad, '.');
        base64_put_url(&bad, forms[i]);
        assert_string_equal(outcome(k, buf_view(&bad)), "jwt_signature");
        buf_free(&bad);
    }
    buf_free(&b);
    arena_close(&a);
    jwt_keys_free(k);
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

/* ---- key sets -------------------------------------------------------------------------------- */

#define A_SIGNER "{" OKP_PARTS ",\"kid\":\"a\",\"key_ops\":[\"sign\"]}"

static void test_sets_refused(void **state)
{
    (void)state;
    static const char *const sets[] = {
        "",
        "[",
        "[]",
        " [ ] ",
        "{}",
        "null",
        "\"[]\"",
        "[null]",
        "[[]]",
        "[" A_SIGNER "] x",
        "[" A_SIGNER ",]",
        "{\"keys\":[" A_SIGNER "]}",
        "[{" OKP_PARTS ",\"kid\":\"a\",\"key_ops\":[\"verify\"]}]",             /* nobody signs */
        "[" A_SIGNER ",{" P256_PARTS ",\"kid\":\"b\",\"key_ops\":[\"sign\"]}]", /* two sign */
        "[" A_SIGNER ",{" P256_PUBLIC ",\"kid\":\"a\"}]", /* one name, two keys */
        "[" A_SIGNER ",{" P256_PUBLIC "}]",               /* a nameless one */
    };
    for (size_t i = 0; i < sizeof(sets) / sizeof(*sets); i++) {
        struct jwt_keys *k = NULL;
        struct err e = {0};
        if (jwt_keys_from_jwks(str_from(sets[i]), S(SECRET), &k, &e))
            fail_msg("accepted: %s", sets[i]);
        assert_null(k);
        assert_int_equal(e.status, 500);
        assert_string_equal(e.code, "jwt_key_invalid");
    }
    struct jwt_keys *k = NULL;
    struct err e = {0};
    assert_false(jwt_keys_from_jwks(S("[" A_SIGNER "]"), S("short"), &k, &e));
    assert_false(jwt_keys_from_secret(S("short"), (struct str){0}, &k, &e));
    assert_null(k);
    jwt_keys_free(NULL);
}

static void test_set_with_white_space(void **state)
{
    (void)state;
    struct jwt_keys *k = NULL;
    struct err e = {0};
    const struct str text =
        S("\r\n [\n\t" A_SIGNER " ,\n{" P256_PUBLIC ",\"kid\":\"]}\\\"[{,\"}\n ]\n");
    assert_true(jwt_keys_from_jwks(text, (struct str){0}, &k, &e));
    assert_int_equal(k->count, 2);
    assert_true(str_is(k->keys[1].kid, "]}\"[{,"));
    jwt_keys_free(k);
}

static void test_too_many_keys(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_str(&b, S("[" A_SIGNER));
    for (int i = 0; i < KEYS_MAX; i++)
        buf_printf(&b, ",{" OCT_PARTS ",\"kid\":\"k%d\"}", i);
    buf_char(&b, ']');
    struct jwt_keys *k = NULL;
    struct err e = {0};
    assert_false(jwt_keys_from_jwks(buf_view(&b), (struct str){0}, &k, &e));
    assert_string_equal(e.code, "jwt_key_invalid");
    buf_free(&b);
}

static void test_publish(void **state)
{
    (void)state;
    struct buf b;
    struct jwt_keys *k = secret_keys();
    buf_init(&b, 65536);
    jwt_keys_publish(k, &b);
    assert_true(str_is(buf_view(&b), "{\"keys\":[]}"));
    jwt_keys_free(k);

    k = set_keys(S(SECRET));
    buf_reset(&b);
    jwt_keys_publish(k, &b);
    jwt_keys_free(k);
#define TAIL "\"use\":\"sig\",\"key_ops\":[\"verify\"],"
    assert_true(str_is(buf_view(&b),
                       "{\"keys\":[{\"kty\":\"EC\",\"kid\":\"ec\",\"alg\":\"ES256\"," TAIL
                       "\"crv\":\"P-256\"," P256_XY "},"
                       "{\"kty\":\"RSA\",\"kid\":\"rsa\",\"alg\":\"RS256\"," TAIL "\"n\":\"" RSA_N
                       "\",\"e\":\"AQAB\"},"
                       "{\"kty\":\"OKP\",\"kid\":\"ed\",\"alg\":\"EdDSA\"," TAIL
                       "\"crv\":\"Ed25519\",\"x\":\"" OKP_X "\"}]}"));
    buf_free(&b);
}

/* ---- threads --------------------------------------------------------------------------------- */

static void *sign_and_verify_often(void *arg)
{
    const struct jwt_keys *k = arg;
    struct arena a;
    struct buf b;
    bool ok = true;
    arena_init(&a, 65536);
    buf_init(&b, 65536);
    for (int i = 0; i < 200 && ok; i++) {
        struct err e = {0};
        struct str claims;
        buf_reset(&b);
        arena_reset(&a);
        ok = jwt_sign(k, S("{" EXP "}"), &b, &e)
             && jwt_verify(k, buf_view(&b), &now, &a, &claims, &e);
    }
    buf_free(&b);
    arena_close(&a);
    return ok ? arg : NULL;
}

static void test_sets_serve_threads(void **state)
{
    (void)state;
    struct jwt_keys *sets[] = {secret_keys(), set_keys(S(SECRET))};
    pthread_t threads[8];
    void *result;
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sign_and_verify_often, sets[i % 2]), 0);
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], &result);
        assert_ptr_equal(result, sets[i % 2]);
    }
    jwt_keys_free(sets[0]);
    jwt_keys_free(sets[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sign_and_verify),
        cmocka_unit_test(test_rfc7519_example),
        cmocka_unit_test(test_header_is_gotrues),
        cmocka_unit_test(test_each_key_by_its_kid),
        cmocka_unit_test(test_fallback_secret),
        cmocka_unit_test(test_alg_none),
        cmocka_unit_test(test_alg_must_be_the_keys),
        cmocka_unit_test(test_alg_of_another_key),
        cmocka_unit_test(test_key_confusion),
        cmocka_unit_test(test_kid_is_only_compared),
        cmocka_unit_test(test_kid_forms),
        cmocka_unit_test(test_embedded_keys_are_ignored),
        cmocka_unit_test(test_critical_extensions),
        cmocka_unit_test(test_header_forms),
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_foreign_bytes),
        cmocka_unit_test(test_not_malleable),
        cmocka_unit_test(test_each_prefix),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_small_arena_is_an_error),
        cmocka_unit_test(test_ecdsa_forms),
        cmocka_unit_test(test_claims_forms),
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_exp),
        cmocka_unit_test(test_nbf_and_iat),
        cmocka_unit_test(test_signature_comes_first),
        cmocka_unit_test(test_sets_refused),
        cmocka_unit_test(test_set_with_white_space),
        cmocka_unit_test(test_too_many_keys),
        cmocka_unit_test(test_publish),
        cmocka_unit_test(test_sets_serve_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
