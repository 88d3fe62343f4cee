/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layer 4: may this be done from there. Blocked networks may do nothing; secret keys and
 * administrators' tokens may be held to networks; a session may be held to the network and program
 * it was opened with, so that a stolen token is of no use elsewhere. All by setting, off by default.
 *
 * Errors: 403 "address_blocked", "address_not_allowed", "session_context_changed".
 */
#ifndef GUARD_CONTEXT_H
#define GUARD_CONTEXT_H

#include "base/err.h"
#include "http/req.h"

struct context;

struct context_config {
    const char *blocked;           /* addresses and CIDRs; NULL: none */
    const char *service;           /* from where administrators may act; NULL: from wherever */
    bool bind_address, bind_agent; /* sessions are held to network, to user agent */
};

/* e: 2 "config". */
MUST_CHECK bool context_open(const struct context_config *c, struct context **out, struct err *e);
void context_close(struct context *c);
/* Before anything is verified. */
MUST_CHECK bool context_check_address(const struct req *req, struct err *e);
/*
 * Once the API key is known: a server with a secret key says for whom it speaks, in Sb-Forwarded-For
 * (GoTrue's name), so that limits, wrong passwords and sessions are that client's.
 */
void context_take_client(struct req *req);
/* Once it is known who calls: an administrator's own address. */
MUST_CHECK bool context_check_admin(const struct req *req, struct err *e);
bool context_binds_sessions(const struct context *c);
/* ip and agent as the session noted them; absent ones bind nothing. */
MUST_CHECK bool context_check_session(const struct req *req, struct str ip, struct str agent,
                                      struct err *e);

#endif
