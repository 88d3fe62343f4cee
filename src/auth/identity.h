/* SPDX-License-Identifier: Apache-2.0 */
/* The ways in which a user signs in. Private to auth/. */
#ifndef AUTH_IDENTITY_H
#define AUTH_IDENTITY_H

#include "auth/auth.h"

/*
 * Removes one of the caller's identities; what the others say becomes address, number and providers.
 * Errors: 422 "single_identity_not_deletable", "identity_not_found",
 * "email_conflict_identity_not_deletable" (the address they say is another user's).
 */
MUST_CHECK bool identity_unlink(struct req *req, struct str id, struct err *e);

#endif
