/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_private.h"

#include <stdlib.h>

#include "ops/metrics.h"

bool auth_open(const struct auth_config *c, struct auth **out, struct err *e)
{
    struct auth *a = calloc(1, sizeof(*a));
    BUG(!a);
    a->config = *c;
    if (!hasher_open(c->hash_threads, &a->hasher, e)) {
        free(a);
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
    caller_cache_close(a);
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

void auth_count(const char *event)
{
    metrics_add(METRIC_auth_events, metrics_label(METRIC_auth_events, str_from(event)), 1);
}
