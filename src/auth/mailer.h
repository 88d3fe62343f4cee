/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way a mail comes to be. mailer_queue writes what the mail shows into the outbox, in the
 * caller's transaction: a job renders and sends it after the commit, again and again while the mail
 * server is away. Nothing here waits for a network. Private to auth/.
 */
#ifndef AUTH_MAILER_H
#define AUTH_MAILER_H

#include "auth/auth.h"
#include "pg/pg_tx.h"

/* Absent members show as nothing. Copied. */
struct mail {
    enum mail_kind kind;
    struct str to;           /* the address it goes to (SendingTo) */
    const struct user *user; /* Email, Data */
    struct str new_email;    /* NewEmail */
    struct str otp;          /* Token */
    struct str token_hash;   /* TokenHash, maybe with "pkce_"; what ConfirmationURL carries */
    const char *verify_type; /* "signup", "recovery" … in ConfirmationURL */
    struct str redirect_to;  /* RedirectTo, already through the allow-list; absent: the site URL */
    /*
     * Of a change of address that both confirm: the token that the current one gets. A hook that sends
     * mails hears of both at once, in the mail to the new address; that to the current one is told_with it.
     */
    struct str current_otp, current_hash;
    bool told_with_other;
    /* for notifications */
    struct str old_email, phone, old_phone, provider, factor_type;
};

/*
 * Queued in tx (two statements; no flush): leaves only after its commit. A notice that is not enabled
 * is no error and no mail. e: 400 "email_address_not_authorized", 429 "over_email_send_rate_limit".
 */
MUST_CHECK bool mailer_queue(struct pg_tx *tx, struct req *req, const struct mail *m,
                             struct err *e);
/* ConfirmationURL alone, for generate_link; in the request's arena. */
struct str mailer_link(struct req *req, const struct mail *m);

#endif
