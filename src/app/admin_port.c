/* SPDX-License-Identifier: Apache-2.0 */
#include "app/admin_port.h"

#include <stdatomic.h>

#include "base/json.h"
#include "guard/layers.h"
#include "http/req.h"
#include "http/resp.h"
#include "ops/metrics.h"
#include "pg/pg_pool.h"

static atomic_bool draining;

static route_handler livez_get, readyz_get, metrics_get, layers_get;

const struct route admin_port_routes[] = {
    {METHOD_GET, "/livez", livez_get, ACCESS_ADMIN_PORT, LIMIT_NONE, 0, 0, 0},
    {METHOD_GET, "/readyz", readyz_get, ACCESS_ADMIN_PORT, LIMIT_NONE, 0, 0, 0},
    {METHOD_GET, "/layers", layers_get, ACCESS_ADMIN_PORT, LIMIT_NONE, 0, 0, 0},
    {METHOD_GET, "/metrics", metrics_get, ACCESS_ADMIN_PORT, LIMIT_NONE, 0, 0, 0},
};
const size_t admin_port_routes_count = sizeof(admin_port_routes) / sizeof(admin_port_routes[0]);

void admin_port_draining(void)
{
    atomic_store(&draining, true);
}

static bool say(struct resp *resp, int status, const char *word, const char *why, struct err *e)
{
    struct buf *b = resp_json(resp, status);
    json_put_open(b, '{');
    json_put_kstr(b, "status", str_from(word));
    if (why)
        json_put_kstr(b, "reason", str_from(why));
    json_put_close(b, '}');
    return resp_done(resp, e);
}

/* GET /livez: the loops turn. */
static bool livez_get(struct req *req, struct resp *resp, struct err *e)
{
    (void)req;
    return say(resp, 200, "ok", NULL, e);
}

/* GET /readyz: requests can be served now, or why not. */
static bool readyz_get(struct req *req, struct resp *resp, struct err *e)
{
    (void)req;
    struct err why = {0};
    if (atomic_load(&draining))
        return say(resp, 503, "draining", "the server is stopping", e);
    if (!pg_pool_ready(&why))
        return say(resp, 503, "not ready", why.message, e);
    return say(resp, 200, "ready", NULL, e);
}

/* GET /layers: the authorization layers, those that do not exist yet among them. */
static bool layers_get(struct req *req, struct resp *resp, struct err *e)
{
    (void)req;
    layers_put_json(resp_json(resp, 200));
    return resp_done(resp, e);
}

/* GET /metrics: Prometheus text format 0.0.4. */
static bool metrics_get(struct req *req, struct resp *resp, struct err *e)
{
    (void)req;
    struct buf *b = resp_json(resp, 200);
    metrics_write(b);
    resp->headers.n = 0;
    resp_header(resp, "Content-Type", S("text/plain; version=0.0.4; charset=utf-8"));
    return resp_done(resp, e);
}
