/* SPDX-License-Identifier: Apache-2.0 */
/* ID tokens of providers (OpenID Connect Core 1.0 §3.1.3.7): what they need from start to end. Private
 * to auth/; auth/auth.h has id_token_check. */
#ifndef AUTH_ID_TOKEN_H
#define AUTH_ID_TOKEN_H

#include "auth/auth_private.h"

/* e: status 2 for settings that cannot work. */
MUST_CHECK bool id_token_open(struct auth *a, struct err *e);
void id_token_close(struct auth *a);

#endif
