/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PKCE (RFC 7636) for flows that leave the app and come back with a code: rows of auth.flow_state, a
 * code each, worth one session (spec auth.md §6.5; GoTrue pkce.go, models/flow_state.go). Private to auth/.
 */
#ifndef AUTH_FLOW_H
#define AUTH_FLOW_H

#include "auth/auth_private.h"

/* As sent; both absent in an implicit flow. */
struct flow_pkce {
    struct str challenge;
    const char *method; /* "s256" or "plain", NULL: no PKCE */
};

/* 400 "validation_failed": one without the other, another method, or not 43..128 of [A-Za-z0-9._~-]. */
MUST_CHECK bool flow_pkce_read(struct str challenge, struct str method, struct flow_pkce *out,
                               struct err *e);
/* Queues a row; authentication is "email/signup", "magiclink", "recovery", "invite", "email_change" … */
void flow_begin(struct pg_tx *tx, const struct flow_pkce *p, struct str user_id,
                const char *authentication);
/*
 * Queues: the code of the user's newest flow of that kind, issued now; its one row (flow_issue.sql) is
 * the auth_code, none when there is no such flow.
 */
void flow_issue(struct pg_tx *tx, struct str user_id, const char *authentication);

struct flow_taken {
    struct str id, user_id, authentication, provider_access_token, provider_refresh_token;
};
/*
 * In tx, whose commit makes it final: a code is worth one session. 404 "flow_state_not_found";
 * 422 "flow_state_expired"; 400 "flow_state_already_used", "bad_code_verifier".
 */
MUST_CHECK bool flow_take(struct pg_tx *tx, struct req *req, struct str code, struct str verifier,
                          struct flow_taken *out, struct err *e);

#endif
