/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A user's wish for another address: the new one is asked to confirm it, and the old one too where
 * secure_email_change says so (spec auth.md §1.5; GoTrue mail.go). The answers are verify.c's. Private
 * to auth/.
 */
#ifndef AUTH_EMAIL_CHANGE_H
#define AUTH_EMAIL_CHANGE_H

#include "auth/flow.h"

struct email_change {
    struct str email; /* normalised */
    struct flow_pkce pkce;
    struct str redirect_to;
};

/* Queues the wish, its tokens and their mails; an earlier wish is void. e: what mailer_queue refuses. */
MUST_CHECK bool email_change_ask(struct pg_tx *tx, struct req *req, const struct user *u,
                                 const struct email_change *c, struct err *e);

#endif
