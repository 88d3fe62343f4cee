/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/context.h"

#include <stdlib.h>

#include "guard/network.h"
#include "guard/principal.h"
#include "guard/services.h"
#include "http/proxy.h"

struct context {
    struct proxy_list *blocked, *service; /* lists of networks; NULL: none */
    bool bind_address, bind_agent;
};

static bool networks(const char *setting, const char *list, struct proxy_list **out, struct err *e)
{
    if (!list || proxy_open(list, out, e))
        return true;
    char item[sizeof(e->message)];
    memcpy(item, e->message, sizeof(item));
    return err_set(e, 2, "config", "%s: %.120s", setting, item);
}

bool context_open(const struct context_config *c, struct context **out, struct err *e)
{
    struct context *x = calloc(1, sizeof(*x));
    BUG(!x);
    x->bind_address = c->bind_address;
    x->bind_agent = c->bind_agent;
    if (!networks("blocked_addresses", c->blocked, &x->blocked, e)
        || !networks("service_addresses", c->service, &x->service, e)) {
        context_close(x);
        return false;
    }
    *out = x;
    return true;
}

void context_close(struct context *c)
{
    if (!c)
        return;
    proxy_close(c->blocked);
    proxy_close(c->service);
    free(c);
}

bool context_check_address(const struct req *req, struct err *e)
{
    const struct context *c = req->services->context;
    if (c->blocked && proxy_trusts(c->blocked, req->client_ip))
        return err_set(e, 403, "address_blocked", "This address is blocked");
    return true;
}

void context_take_client(struct req *req)
{
    struct str first, rest;
    if (req->principal->key != PRINCIPAL_KEY_SERVICE)
        return;
    str_cut(req_header(req, S("sb-forwarded-for")), ',', &first, &rest);
    first = str_trim(first);
    if (network_of(first).n == 0)
        return;
    req->server_ip = req->client_ip;
    req->client_ip = first;
}

bool context_check_admin(const struct req *req, struct err *e)
{
    const struct context *c = req->services->context;
    const struct principal *p = req->principal;
    bool admin = p->admin || p->key == PRINCIPAL_KEY_SERVICE;
    struct str ip = req->server_ip.p ? req->server_ip : req->client_ip;
    if (c->service && admin && !proxy_trusts(c->service, ip))
        return err_set(e, 403, "address_not_allowed",
                       "Administrators may not act from this address");
    return true;
}

bool context_binds_sessions(const struct context *c)
{
    return c->bind_address || c->bind_agent;
}

bool context_check_session(const struct req *req, struct str ip, struct str agent, struct err *e)
{
    const struct context *c = req->services->context;
    bool moved =
        c->bind_address && ip.n && !network_same(network_of(ip), network_of(req->client_ip));
    bool other = c->bind_agent && agent.n && !str_eq(agent, req->user_agent);
    return (!moved && !other)
           || err_set(e, 403, "session_context_changed",
                      "This session belongs to another client: log in again");
}
