/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/keyset.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/url.h"
#include "crypto/jwt.h"
#include "http/client.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"

enum {
    DOCUMENT_MAX = 256 * 1024,
    FRESH_S = 3600,     /* GoTrue's OIDC_PROVIDER_CACHE_TTL */
    STALE_S = 6 * 3600, /* while nothing newer can be had */
    AGAIN_S = 5,        /* between fetches for the sake of unknown names */
    FETCH_S = 5,
};

struct slot {
    struct jwt_keys *keys;
    int64_t fetched_us, tried_us; /* monotonic; 0: never */
    struct err failure;           /* of the last try */
    bool fetching;
    struct fiber_queue waiters;
};

struct keyset {
    struct str url;
    struct breaker *breaker;
    struct slot slots[LOOP_MAX];
};

static bool url_allowed(struct str url)
{
    struct url_parts u;
    if (!url_parse(url, &u) || !u.host.n || u.userinfo.p)
        return false;
    bool here = str_is(u.host, "127.0.0.1") || str_is(u.host, "::1") || str_is(u.host, "localhost");
    return str_eq_nocase(u.scheme, S("https")) || (here && str_eq_nocase(u.scheme, S("http")));
}

bool keyset_open(struct str url, enum breaker_id breaker, struct keyset **out, struct err *e)
{
    if (!url_allowed(url))
        return err_set(e, 2, "config", "\"%.200s\" must be an https URL: whoever answers there decides who logs in",
                       url.p);
    struct keyset *k = calloc(1, sizeof(*k));
    BUG(!k);
    k->url = url;
    k->breaker = breaker_named(breaker);
    for (size_t i = 0; i < LOOP_MAX; i++)
        fiber_queue_init(&k->slots[i].waiters);
    *out = k;
    return true;
}

void keyset_close(struct keyset *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < LOOP_MAX; i++)
        jwt_keys_free(k->slots[i].keys);
    free(k);
}

static bool fetch(const struct keyset *k, struct req *req, struct jwt_keys **out, struct err *e)
{
    struct client_request r = {
        .method = "GET",
        .url = k->url,
        .headers = S("Accept: application/json\r\n"),
        .timeout_us = FETCH_S * CLOCK_S,
        .response_max = DOCUMENT_MAX,
        .breaker = k->breaker,
    };
    struct client_response answer;
    if (!client_fetch(&r, req->arena, &answer, e))
        return false;
    if (answer.status != 200)
        return err_set(e, 502, "upstream_unreachable", "the keys were answered with status %d", answer.status);
    return jwt_keys_from_foreign(answer.body, out, e);
}

/* What a client hears of it; why is for the log. */
static bool unavailable(struct err *e)
{
    struct err why = *e;
    if (why.status == 499)
        return false;
    err_set(e, 503, "provider_unavailable", "The keys of the identity provider cannot be fetched, try again later");
    e->retry_after_s = why.retry_after_s ? why.retry_after_s : 1;
    err_detail(e, "%s: %.200s", why.code, why.message);
    return false;
}

/* As the one who fetches for all that wait. */
static bool refresh_now(struct keyset *k, struct slot *s, struct req *req, struct err *e)
{
    struct jwt_keys *keys = NULL;
    s->fetching = true;
    bool ok = fetch(k, req, &keys, e);
    s->fetching = false;
    if (ok) {
        jwt_keys_free(s->keys); /* nobody parks while using them */
        s->keys = keys;
        s->fetched_us = clock_mono_us();
    }
    if (ok || e->status != 499) { /* else only our own client has left: the next one tries */
        s->tried_us = clock_mono_us();
        s->failure = ok ? (struct err){0} : *e;
    }
    while (fiber_queue_wake_one(&s->waiters))
        ;
    return ok || unavailable(e);
}

static bool refresh(struct keyset *k, struct slot *s, struct req *req, struct err *e)
{
    int64_t since = clock_mono_us();
    while (s->fetching) {
        enum fiber_result r = fiber_queue_wait(&s->waiters, FIBER_NEVER);
        if (r != FIBER_WOKEN)
            return fiber_fail(r, e);
        if (s->tried_us < since)
            continue;
        if (s->failure.status) {
            *e = s->failure;
            return unavailable(e);
        }
        return true;
    }
    return refresh_now(k, s, req, e);
}

static bool older(int64_t us, int64_t seconds)
{
    return us == 0 || clock_mono_us() - us > seconds * CLOCK_S;
}

static bool keys_current(struct keyset *k, struct slot *s, struct req *req, struct err *e)
{
    if (s->keys && !older(s->fetched_us, FRESH_S))
        return true;
    if (s->keys && !older(s->fetched_us, STALE_S) && !older(s->tried_us, AGAIN_S))
        return true;
    if (refresh(k, s, req, e))
        return true;
    if (e->status != 503 || !s->keys || older(s->fetched_us, STALE_S))
        return false;
    log_say(LOG_WARN, "keyset.stale", "keys of %.*s are older than an hour: %s", STR_ARG(k->url), e->detail);
    err_clear(e);
    return true;
}

bool keyset_verify(struct keyset *k, struct req *req, struct str token, struct str *claims, struct err *e)
{
    struct slot *s = &k->slots[loop_index()];
    struct jwt_check check = {.now_us = req->now_us};
    if (!keys_current(k, s, req, e))
        return false;
    if (!jwt_keys_know(s->keys, token, req->arena) && older(s->tried_us, AGAIN_S) && !refresh(k, s, req, e))
        return false;
    return jwt_verify(s->keys, token, &check, req->arena, claims, e);
}
