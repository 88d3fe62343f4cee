/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who the client is when proxies stand in front: X-Forwarded-For, X-Forwarded-Proto and Forwarded
 * (RFC 7239) are believed only from configured addresses, since anyone can send them. Pure, no I/O.
 */
#ifndef HTTP_PROXY_H
#define HTTP_PROXY_H

#include "base/err.h"
#include "http/head.h"

struct proxy_list;

/* Comma separated addresses and CIDRs, "10.0.0.0/8, ::1"; NULL or "": none. e: "proxy_invalid". */
MUST_CHECK bool proxy_open(const char *list, struct proxy_list **out, struct err *e);
void proxy_close(struct proxy_list *p);
bool proxy_trusts(const struct proxy_list *p, struct str ip);
/*
 * Address of the client of a connection from a trusted peer: the rightmost one in X-Forwarded-For
 * (else Forwarded) that is no proxy of ours. peer itself when there is none. Points into the head.
 */
struct str proxy_client(const struct proxy_list *p, const struct head *h, struct str peer);
/* Whether that proxy was reached over TLS; plain when it does not say. */
bool proxy_https(const struct head *h);

#endif
