/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a password is known from a leak: HaveIBeenPwned's range API (haveibeenpwned.com/API/v3,
 * "Searching by range"), which learns 20 bits of its SHA-1 and nothing else. Private to auth/.
 */
#ifndef AUTH_PWNED_H
#define AUTH_PWNED_H

#include "auth/auth.h"

/*
 * Parks for at most 5 s; not while a transaction is open. *found false when the check is off. A service
 * that does not answer counts as not found, or is 503 "unexpected_failure" with pwned_fail_closed.
 */
MUST_CHECK bool pwned_check(struct req *req, struct str password, bool *found, struct err *e);

#endif
