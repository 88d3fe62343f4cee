/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One-time tokens of mails: a code of digits, and of address and code the hash that a link carries and
 * that is all the database keeps (spec auth.md §1.4, §6.15-16). A user has one of each kind, every new
 * one voids the former, and any success voids all. As long as GoTrue's SHA-224, but keyed: whoever
 * knows an address could try its million codes as links otherwise, past the limit on codes, since
 * of a link that is wrong nobody can say whose it was meant to be. Private to auth/.
 */
#ifndef AUTH_ONE_TIME_H
#define AUTH_ONE_TIME_H

#include "auth/auth_private.h"

enum one_time_kind {
    ONE_TIME_CONFIRMATION,
    ONE_TIME_REAUTHENTICATION,
    ONE_TIME_RECOVERY, /* magic links too */
    ONE_TIME_EMAIL_CHANGE_NEW,
    ONE_TIME_EMAIL_CHANGE_CURRENT,
    ONE_TIME_KIND_COUNT
};

enum { ONE_TIME_HASH_LENGTH = 56, ONE_TIME_STORED_MAX = ONE_TIME_HASH_LENGTH + 5 /* "pkce_" */ };

struct one_time {
    struct str otp, hash; /* in the request's arena; hash begins with "pkce_" in a PKCE flow */
};

void one_time_make(struct req *req, struct str address, bool pkce, struct one_time *out);
/* What is kept of a code that somebody typed in, without "pkce_". */
struct str one_time_hash(struct req *req, struct str address, struct str otp);
/* Queues: replaces the user's token of that kind in users, its *_sent_at, and one_time_tokens. */
void one_time_store(struct pg_tx *tx, enum one_time_kind kind, struct str user_id,
                    struct str relates_to, const struct one_time *t);
/* Queues: all of a user's tokens are void. */
void one_time_clear(struct pg_tx *tx, struct str user_id);
/* sent_us: of the mail. Whether its token still counts. */
bool one_time_lives(const struct req *req, int64_t sent_us);
/*
 * Between two mails of one purpose to a user: 429 "over_email_send_rate_limit" "For security purposes,
 * you can only request this after N seconds.", with Retry-After. sent_us 0: none was sent.
 */
MUST_CHECK bool one_time_frequency(const struct req *req, int64_t sent_us, struct err *e);

#endif
