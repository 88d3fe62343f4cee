/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_private.h"

#include <stdlib.h>

#include "auth/hook.h"
#include "auth/id_token.h"
#include "auth/letter.h"
#include "base/utf8.h"
#include "ops/metrics.h"

bool auth_open(const struct auth_config *c, struct auth **out, struct err *e)
{
    struct auth *a = calloc(1, sizeof(*a));
    BUG(!a);
    a->config = *c;
    if (!hook_open(c, &a->hooks, e) || !letter_open(c, &a->letters, e)
        || !hasher_open(c->hash_threads, &a->hasher, e)) {
        letter_close(a->letters);
        hook_close(a->hooks);
        free(a);
        return false;
    }
    if (!id_token_open(a, e)) {
        auth_close(a);
        return false;
    }
    *out = a;
    return true;
}

void auth_close(struct auth *a)
{
    if (!a)
        return;
    hasher_close(a->hasher);
    letter_close(a->letters);
    hook_close(a->hooks);
    caller_cache_close(a);
    id_token_close(a);
    free(a);
}

void auth_set_profile_table(struct auth *a, const char *table)
{
    a->config.profile_table = table;
}

const struct auth_config *auth_settings(const struct auth *a)
{
    return &a->config;
}

struct offload_stats auth_hash_stats(const struct auth *a)
{
    return offload_stats(a->hasher);
}

struct str auth_audience(const struct req *req)
{
    enum { AUDIENCE_MAX = 255 }; /* the column's */
    const struct principal *p = req->principal;
    struct str asked = req->head ? req_header(req, S("x-jwt-aud")) : (struct str){0};
    if (asked.n > 0 && asked.n <= AUDIENCE_MAX && utf8_valid(asked))
        return asked;
    if (p && p->has_token && !p->admin && p->aud.n > 0 && p->aud.n <= AUDIENCE_MAX)
        return p->aud;
    return auth_config_of(req)->audience;
}

void auth_count(const char *event)
{
    metrics_add(METRIC_auth_events, metrics_label(METRIC_auth_events, str_from(event)), 1);
}
