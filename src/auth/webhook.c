/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/webhook.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/url.h"
#include "base/uuid.h"
#include "crypto/ed25519.h"
#include "crypto/hmac.h"
#include "http/client.h"
#include "http/field.h"
#include "runtime/fiber.h"

enum {
    SECRETS_MAX = 16,
    KEY_TEXT_MIN = 32, /* base64 of a symmetric key, as GoTrue bounds it */
    KEY_TEXT_MAX = 88,
    TRIES = 3,
    ANSWER_MAX = 200 * 1024,
    HEADERS_MAX = 8 * 1024,
    TIMEOUT_US = 5 * 1000 * 1000,
    BACKOFF_US = 2 * 1000 * 1000,
    LEFT_FOR_ANSWER_US = 300 * 1000, /* of the request's time, so that it hears of a late hook */
};

struct signer {
    struct str key; /* of HMAC, or the seed of Ed25519 */
    bool asymmetric;
};

struct webhook {
    struct str url;
    struct breaker *breaker;
    struct signer signers[SECRETS_MAX];
    size_t count;
};

/* ---- settings -------------------------------------------------------------------------------- */

static bool invalid(struct err *e, const char *why)
{
    return err_set(e, 2, "hook_invalid", "%s", why);
}

static bool after_prefix(struct str s, struct str prefix, struct str *rest)
{
    *rest = str_from_at(s, prefix.n);
    return str_starts(s, prefix);
}

static bool signer_parse(struct str text, struct arena *a, struct signer *out, struct err *e)
{
    struct str rest, public_key, private_key;
    if (after_prefix(text, S("v1,whsec_"), &rest)) {
        *out = (struct signer){.key = base64_decode(a, rest)};
        return (out->key.n > 0 && rest.n >= KEY_TEXT_MIN && rest.n <= KEY_TEXT_MAX)
               || invalid(e, "a secret v1,whsec_… has 32 to 88 characters of base64 at its end");
    }
    if (!after_prefix(text, S("v1a,"), &rest))
        return invalid(e, "a secret begins with v1,whsec_ or v1a,whpk_");
    if (!str_cut(rest, ':', &public_key, &private_key) || !str_starts(public_key, S("whpk_"))
        || !after_prefix(private_key, S("whsk_"), &rest))
        return invalid(e, "an asymmetric secret is v1a,whpk_…:whsk_…");
    struct str key = base64_decode(a, rest);
    if (key.n != ED25519_SEED && key.n != 2 * ED25519_SEED)
        return invalid(e, "whsk_ is followed by the base64 of an Ed25519 key");
    *out = (struct signer){.key = str_of(key.p, ED25519_SEED), .asymmetric = true};
    return true;
}

static bool url_usable(struct str url, struct err *e)
{
    static const char *const here[] = {"localhost", "127.0.0.1", "::1", "host.docker.internal"};
    struct url_parts u;
    if (!url_parse(url, &u) || u.host.n == 0)
        return invalid(e, "the address is no URL");
    if (str_eq_nocase(u.scheme, S("https")))
        return true;
    for (size_t i = 0; str_eq_nocase(u.scheme, S("http")) && i < sizeof(here) / sizeof(here[0]);
         i++)
        if (str_eq_nocase(u.host, str_from(here[i])))
            return true;
    return invalid(e,
                   "the address is https://… (http:// to this machine alone) or pg-functions://…");
}

bool webhook_open(struct str url, struct str secrets, struct breaker *b, struct arena *a,
                  struct webhook **out, struct err *e)
{
    struct webhook *w = arena_new(a, struct webhook, 1);
    struct str text;
    if (!url_usable(url, e))
        return false;
    *w = (struct webhook){.url = url, .breaker = b};
    for (bool more = secrets.n > 0; more;) {
        more = str_cut(secrets, '|', &text, &secrets);
        if (w->count == SECRETS_MAX)
            return invalid(e, "there are too many secrets");
        if (!signer_parse(text, a, &w->signers[w->count++], e))
            return false;
    }
    if (w->count == 0)
        return invalid(e, "calls over HTTP are signed: secrets are needed");
    *out = w;
    return true;
}

/* ---- the call -------------------------------------------------------------------------------- */

static bool put_signature(struct buf *b, const struct signer *s, struct str content, struct err *e)
{
    unsigned char mark[ED25519_SIGNATURE];
    size_t n = s->asymmetric ? ED25519_SIGNATURE : 32;
    if (!s->asymmetric)
        hmac_sha256(s->key, content, mark);
    else if (!ed25519_sign(s->key, content, mark, e))
        return false;
    buf_str(b, s->asymmetric ? S("v1a,") : S("v1,"));
    base64_put(b, str_of((const char *)mark, n));
    return true;
}

/* The same id in every try: who has answered the first knows the second for the same. */
static bool headers_of(const struct webhook *w, struct str id, struct str body, struct arena *a,
                       struct str *out, struct err *e)
{
    struct buf b, content;
    long long now_s = clock_wall_us() / CLOCK_S;
    buf_init_arena(&b, a, HEADERS_MAX);
    buf_init_arena(&content, a, body.n + 128);
    buf_printf(&content, "%.*s.%lld.", STR_ARG(id), now_s);
    buf_str(&content, body);
    buf_printf(&b,
               "Content-Type: application/json\r\nAccept: application/json\r\nwebhook-id: %.*s\r\n"
               "webhook-timestamp: %lld\r\nwebhook-signature: ",
               STR_ARG(id), now_s);
    for (size_t i = 0; i < w->count; i++) {
        buf_str(&b, i > 0 ? S(", ") : S(""));
        if (!put_signature(&b, &w->signers[i], buf_view(&content), e))
            return false;
    }
    buf_str(&b, S("\r\n"));
    *out = buf_view(&b);
    return (!b.failed && !content.failed)
           || err_set(e, 422, "hook_payload_over_size_limit", "The hook's input is too large");
}

static bool too_late(struct err *e)
{
    return err_set(e, 422, "hook_timeout",
                   "Failed to reach hook within maximum time of 5.000000 seconds");
}

static bool json_type(struct str content_type)
{
    struct str type, rest;
    str_cut(content_type, ';', &type, &rest);
    return str_eq_nocase(str_trim(type), S("application/json"));
}

static bool no_answer(struct err *e, int status)
{
    if (status == 400)
        return err_set(e, 500, "unexpected_failure", "Invalid payload sent to hook");
    if (status == 401)
        return err_set(e, 500, "unexpected_failure", "Hook requires authorization token");
    if (status == 429 || status == 503)
        return err_set(e, 500, "unexpected_failure", "Service currently unavailable due to hook");
    return err_set(e, 500, "unexpected_failure", "Unexpected status code returned from hook: %d",
                   status);
}

static bool answer_read(const struct client_response *r, struct str *answer, struct err *e)
{
    *answer = S("");
    if (r->status == 204)
        return true;
    if (r->status != 200 && r->status != 202)
        return no_answer(e, r->status);
    if (!r->content_type.n)
        return err_set(e, 400, "hook_payload_invalid_content_type",
                       "Invalid Content-Type: Missing Content-Type header");
    if (!json_type(r->content_type))
        return err_set(e, 400, "hook_payload_invalid_content_type",
                       "Invalid JSON response. Received content-type: %.*s",
                       STR_ARG(r->content_type));
    *answer = r->body;
    return true;
}

/* What a call that came to nothing means; true: it may be tried another time, later. */
static bool call_failed(struct err *e)
{
    struct err why = *e;
    bool again = false;
    if (why.status == 499)
        return false;
    if (strcmp(why.code, "upstream_timeout") == 0)
        too_late(e);
    else if (strcmp(why.code, "upstream_too_large") == 0)
        err_set(e, 422, "hook_payload_over_size_limit",
                "Payload size exceeded size limit of %d bytes", ANSWER_MAX);
    else {
        again = strcmp(why.code, "upstream_unreachable") == 0;
        err_set(e, 422, "hook_timeout_after_retry", "Failed to reach hook after maximum retries");
    }
    err_detail(e, "%s: %s", why.code, why.detail[0] ? why.detail : why.message);
    return again;
}

static bool wait_and_retry(int64_t until_us, struct err *e)
{
    int64_t left = until_us - clock_mono_us();
    if (fiber_sleep(left < BACKOFF_US ? left : BACKOFF_US) == FIBER_GONE)
        return fiber_fail(FIBER_GONE, e);
    return left > BACKOFF_US || too_late(e);
}

/* Busy for now, and says so: it is asked again at once. */
static bool busy(const struct client_response *r)
{
    return (r->status == 429 || r->status == 503) && field_get(r->headers, "retry-after").n > 0;
}

bool webhook_call(const struct webhook *w, struct str body, struct arena *a, struct str *answer,
                  struct err *e)
{
    struct uuid id = uuid_v4();
    int64_t left = fiber_time_left_us() - LEFT_FOR_ANSWER_US;
    int64_t until = clock_mono_us() + (left < TIMEOUT_US ? left : TIMEOUT_US);
    struct client_request r = {.method = "POST",
                               .url = w->url,
                               .body = body,
                               .response_max = ANSWER_MAX,
                               .breaker = w->breaker};
    struct client_response got;
    for (int tries = 1;; tries++) {
        r.timeout_us = until - clock_mono_us();
        if (r.timeout_us <= 0)
            return too_late(e);
        if (!headers_of(w, uuid_str(&id), body, a, &r.headers, e))
            return false;
        if (client_fetch(&r, a, &got, e)) {
            if (tries == TRIES || !busy(&got))
                return answer_read(&got, answer, e);
        } else if (!call_failed(e) || tries == TRIES || !wait_and_retry(until, e)) {
            return false;
        }
        err_clear(e);
    }
}
