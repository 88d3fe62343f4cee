/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other half of every mail flow: a token comes back, its user is confirmed, recovered or gets the
 * new address, and a session or a PKCE code (spec auth.md §1.4; GoTrue verify.go). Private to auth/.
 */
#ifndef AUTH_VERIFY_H
#define AUTH_VERIFY_H

#include "auth/auth_private.h"

struct verify_in {
    struct str type; /* "signup", "invite", "recovery", "magiclink", "email_change", "email" */
    struct str token_hash;   /* of a link, maybe with "pkce_"; else address and code */
    struct str address, otp; /* address normalised */
};

struct verify_out {
    struct user user;
    struct token_pair pair; /* empty for a half and for a code */
    bool half;              /* of a secure change of address: the other mail's link is to come */
    bool pkce;
    struct str code; /* instead of a session, in a PKCE flow that came by link */
};

/* False for a type that there is not, with 400 "validation_failed". */
MUST_CHECK bool verify_type_known(struct str type, struct err *e);
/*
 * want_code: a token of a PKCE flow gives a code. Errors: 403 "otp_expired", "user_banned"; 422
 * "email_exists" when the new address was taken meanwhile; 400 "flow_state_not_found".
 */
MUST_CHECK bool verify_run(struct req *req, const struct verify_in *in, bool want_code,
                           struct verify_out *out, struct err *e);

#endif
