/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A one-time token and the mail that carries it, with the PKCE flow it may belong to: queued together
 * in one transaction. Every mail with a link or a code comes from here. Private to auth/.
 */
#ifndef AUTH_TOKEN_MAIL_H
#define AUTH_TOKEN_MAIL_H

#include "auth/flow.h"
#include "auth/mailer.h"
#include "auth/one_time.h"

struct token_mail {
    enum one_time_kind token;
    enum mail_kind kind;
    const char *verify_type;    /* "signup", "recovery" … */
    const char *authentication; /* of the flow: "email/signup", "magiclink" …; with pkce only */
    struct flow_pkce pkce;
    struct str redirect_to; /* through redirect_target */
};

/* To the user's own address. e: what mailer_queue refuses. */
MUST_CHECK bool token_mail_queue(struct pg_tx *tx, struct req *req, const struct token_mail *m,
                                 const struct user *u, struct err *e);

#endif
