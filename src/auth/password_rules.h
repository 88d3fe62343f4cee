/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which passwords may be set (auth.md §5.4, §6.7): length, characters of given sets, and not one of
 * those that everybody tries first. A stored password that breaks the rules of today still logs in;
 * its session says so. Private to auth/.
 */
#ifndef AUTH_PASSWORD_RULES_H
#define AUTH_PASSWORD_RULES_H

#include "auth/auth.h"

/*
 * False: 422 "weak_password", e->reasons says which rules. *reasons_json, when it is not NULL, is the
 * same array whenever anything is to be said of the password, absent else: a common one is only
 * reported unless the configuration refuses it.
 */
MUST_CHECK bool password_rules_check(const struct auth_config *c, struct str password,
                                     struct str *reasons_json, struct err *e);
/*
 * The same of a password to be set by a request, and not one known from a leak (pwned.h) either.
 * Parks: not while a transaction is open.
 */
MUST_CHECK bool password_rules_ask(struct req *req, struct str password, struct err *e);
/*
 * Adds "weak_password":{message,reasons} to a Session object just written, when there is something to
 * be said of the password that it was made with.
 */
void password_rules_put_weak(struct buf *session, struct req *req, struct str password);

#endif
