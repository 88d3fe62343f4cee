/* SPDX-License-Identifier: Apache-2.0 */
/* Cross-origin headers (Fetch standard §3.2) by a list of allowed origins; put on every answer. */
#ifndef HTTP_CORS_H
#define HTTP_CORS_H

#include "http/req.h"
#include "http/resp.h"

struct cors;

/* "*" or a comma separated list of origins, the first label of a host may be a wildcard:
 * "https://(star).example.com" with an asterisk. e: 500 "cors_invalid". */
MUST_CHECK bool cors_open(struct str origins, struct str extra_headers, struct cors **out,
                          struct err *e);
void cors_close(struct cors *c);
/* Access-Control-Allow-Origin, -Credentials, -Expose-Headers and Vary where they apply. */
void cors_headers(const struct cors *c, const struct req *req, struct resp *resp);
/* Answers a preflight (OPTIONS with Origin and Access-Control-Request-Method): 204 with methods,
 * the requested headers reflected when well-formed, Max-Age 86400. False when it is none. The
 * origin's own headers are not among these: cors_headers puts them on this answer too. */
bool cors_preflight(const struct cors *c, const struct req *req, unsigned methods,
                    struct resp *resp);

#endif
