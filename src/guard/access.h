/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The database roles that a token may name: those that the login `authenticator` is a member of, as
 * a list that is read apart from requests (architecture invariant 9: decided here, never by trying).
 * Set whole, looked at from any thread.
 */
#ifndef GUARD_ACCESS_H
#define GUARD_ACCESS_H

#include "base/err.h"
#include "base/str.h"

/* One thread at a time. Names separated by NUL bytes. */
void access_set(struct str roles);
/* Whether a list was ever set. */
bool access_known(void);
/* 403 "insufficient_privilege" for any other role, also while nothing is known. */
MUST_CHECK bool access_check(struct str role, struct err *e);
/* Whether a role was refused since it was last asked: it may have been granted meanwhile. */
bool access_missed(void);
void access_close(void);

#endif
