/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another issuer's published keys, fetched when they are needed and kept per loop: an hour, and while
 * the issuer cannot be reached some hours more. A token that names an unknown key has them fetched
 * again, at most every five seconds, so that a rotation logs nobody out and forged names cost the
 * issuer nothing. One fetch at a time on a loop; the others wait for it. Private to auth/.
 */
#ifndef AUTH_KEYSET_H
#define AUTH_KEYSET_H

#include "http/req.h"
#include "ops/breaker.h"

struct keyset;

/* url outlives the set. e: status 2 "config" when it is neither https nor http to this machine. */
MUST_CHECK bool keyset_open(struct str url, enum breaker_id breaker, struct keyset **out, struct err *e);
void keyset_close(struct keyset *k);
/*
 * Form, signature and dates of the token (crypto/jwt.h, with its 401s); *claims in the request's
 * arena. Parks, so never with a transaction open. e: 503 "provider_unavailable" when there are no keys to verify
 * with; 504 and 499 of the fiber.
 */
MUST_CHECK bool keyset_verify(struct keyset *k, struct req *req, struct str token, struct str *claims,
                              struct err *e);

#endif
