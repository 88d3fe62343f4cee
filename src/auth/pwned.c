/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/pwned.h"

#include "auth/auth_private.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "crypto/hash.h"
#include "http/client.h"
#include "runtime/fiber.h"

enum {
    PREFIX = 5,
    SHA1_HEX = 40,
    ANSWER_MAX = 256 * 1024,         /* some 1,000 lines of at most 50 bytes, with padding */
    LEFT_FOR_REST_US = 1000 * 1000, /* of the request's time: there is a hash to be made */
};
static const int64_t wait_us = 5 * CLOCK_S;

/* "SUFFIX:COUNT" a line; padding has the count 0. */
static bool has_suffix(struct str lines, struct str suffix)
{
    struct str line, count;
    for (bool more = lines.n > 0; more;) {
        more = str_cut(lines, '\n', &line, &lines);
        str_cut(line, ':', &line, &count);
        if (str_eq_nocase(line, suffix) && !str_is(str_trim(count), "0")
            && !str_is(count, "0\r"))
            return true;
    }
    return false;
}

static bool ask(struct req *req, struct str prefix, struct str *lines, struct err *e)
{
    const struct auth_config *c = auth_config_of(req);
    int64_t left = fiber_time_left_us() - LEFT_FOR_REST_US;
    struct client_request r = {
        .method = "GET",
        .url = arena_printf(req->arena, "%.*s/range/%.*s", STR_ARG(c->pwned_url), STR_ARG(prefix)),
        .headers = arena_printf(req->arena, "User-Agent: %.*s\r\nAdd-Padding: true\r\n",
                                STR_ARG(c->pwned_user_agent)),
        .timeout_us = left < wait_us ? left : wait_us,
        .response_max = ANSWER_MAX,
        .breaker = breaker_named(BREAKER_pwned),
    };
    struct client_response answer;
    if (!client_fetch(&r, req->arena, &answer, e))
        return false;
    *lines = answer.body;
    return answer.status == 200
           || err_set(e, 502, "upstream_unreachable", "the service answered %d", answer.status);
}

static bool unanswered(const struct req *req, struct err *e)
{
    struct err why = *e;
    log_say(LOG_WARN, "pwned_check", "passwords are not compared with leaked ones: %s (request %s)",
            why.message, req->id);
    if (auth_config_of(req)->pwned_fail_closed) {
        err_set(e, 503, "unexpected_failure",
                "The password cannot be checked at the moment, try again later");
        return err_detail(e, "%s", why.message);
    }
    err_clear(e);
    return true;
}

bool pwned_check(struct req *req, struct str password, bool *found, struct err *e)
{
    char hex[SHA1_HEX + 1];
    struct str lines;
    *found = false;
    if (!auth_config_of(req)->pwned_enabled)
        return true;
    hash_sha1_hex(password, hex);
    struct str digest = arena_str(req->arena, str_from(hex));
    secret_wipe_bytes(hex, sizeof(hex));
    if (!ask(req, str_of(digest.p, PREFIX), &lines, e))
        return unanswered(req, e);
    *found = has_suffix(lines, str_from_at(digest, PREFIX));
    return true;
}
