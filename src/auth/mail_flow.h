/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mails that somebody asks for by naming an address: a sign-in link or code, a new password, the same
 * mail once more (spec auth.md §1.3, §6.3-4; GoTrue magic_link.go, otp.go, recover.go, resend.go). Who
 * asks need not be who reads, so the answer is the same for every address, but for what the wire lets
 * slip: see enumeration_protection. Private to auth/.
 */
#ifndef AUTH_MAIL_FLOW_H
#define AUTH_MAIL_FLOW_H

#include "auth/token_mail.h"

struct mail_ask {
    struct str email; /* normalised */
    struct flow_pkce pkce;
    struct str redirect_to;
    struct str data; /* user_metadata of whom this signs up; JSON object or absent */
    bool create;     /* sign up whom nobody knows */
};

/* 422 "otp_disabled", "signup_disabled"; 429 "over_email_send_rate_limit"; what mailer_queue refuses. */
MUST_CHECK bool mail_flow_sign_in(struct req *req, const struct mail_ask *ask, struct err *e);
MUST_CHECK bool mail_flow_recover(struct req *req, const struct mail_ask *ask, struct err *e);
/* The confirmation of a signup, or of a change of address, once more; nothing when none is due. */
MUST_CHECK bool mail_flow_resend_signup(struct req *req, const struct mail_ask *ask, struct err *e);
MUST_CHECK bool mail_flow_resend_change(struct req *req, const struct mail_ask *ask, struct err *e);

#endif
