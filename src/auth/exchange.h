/* SPDX-License-Identifier: Apache-2.0 */
/* The last step of a PKCE flow: its code for a session (RFC 7636 §4.5; auth.md §1.3). Private to auth/. */
#ifndef AUTH_EXCHANGE_H
#define AUTH_EXCHANGE_H

#include "auth/auth_private.h"

/* Errors of flow_take; 400 "user_banned". */
MUST_CHECK bool exchange_run(struct req *req, struct str code, struct str verifier, struct login *out,
                             struct err *e);

#endif
