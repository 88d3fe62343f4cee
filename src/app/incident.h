/* SPDX-License-Identifier: Apache-2.0 */
/* What a request's end means to the audit: which answers are events, without a change to belong to. */
#ifndef APP_INCIDENT_H
#define APP_INCIDENT_H

#include "http/req.h"

/* Refused, limited, malformed or broken (req->failure); nothing for the client's ordinary mistakes. */
void incident_failure(const struct req *req);
void incident_slow(const struct req *req, int status, int64_t took_us);

#endif
