/* SPDX-License-Identifier: Apache-2.0 */
/* One request's life on one page: what every surface has in common happens here and nowhere else. */
#ifndef APP_PIPELINE_H
#define APP_PIPELINE_H

#include "guard/services.h"
#include "http/cors.h"
#include "http/server.h"

struct pipeline {
    struct services *services;
    struct route_table *routes;
    struct cors *cors;
    int64_t timeout_us; /* of a request, unless its route says otherwise */
    int64_t slow_us;    /* from here on a request is marked slow */
    bool log_requests;
};

/* Once, before the first request. */
void pipeline_prepare(void);
/* server_config.handle and .finished; ctx is the struct pipeline. */
void pipeline_handle(struct req *req, struct resp *resp, void *ctx);
void pipeline_finished(struct req *req, struct resp *resp, uint64_t sent, void *ctx);

#endif
