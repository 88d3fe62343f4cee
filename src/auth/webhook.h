/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One signed call to an app's own service: Standard Webhooks (standardwebhooks.com), with GoTrue's
 * retries, limits and error codes (auth.md §5.5). Private to auth/.
 */
#ifndef AUTH_WEBHOOK_H
#define AUTH_WEBHOOK_H

#include "base/arena.h"
#include "base/err.h"
#include "ops/breaker.h"

struct webhook;

/*
 * secrets: joined by '|', each "v1,whsec_<base64 of the key>" (HMAC-SHA-256) or
 * "v1a,whpk_<base64>:whsk_<base64>" (Ed25519). https, or http to this machine. e: 2 "hook_invalid",
 * worded to follow the setting's name.
 */
MUST_CHECK bool webhook_open(struct str url, struct str secrets, struct breaker *b, struct arena *a,
                             struct webhook **out, struct err *e);
/*
 * From a fiber, no transaction open; at most 5 s, and three tries. *answer: the body, JSON by its
 * Content-Type; empty for 204. e: 422 "hook_timeout", "hook_timeout_after_retry",
 * "hook_payload_over_size_limit"; 400 "hook_payload_invalid_content_type"; 500 "unexpected_failure"
 * for statuses that are no answer; 499 "client_gone".
 */
MUST_CHECK bool webhook_call(const struct webhook *w, struct str body, struct arena *a,
                             struct str *answer, struct err *e);

#endif
