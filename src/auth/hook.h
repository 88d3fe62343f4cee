/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks: an app's own function or service that is asked, or told, at fixed points (auth.md §5.5).
 * A hook is called with no transaction open, on the request's one connection or over HTTP; what was
 * read before it is a condition of what is written after it. Private to auth/.
 */
#ifndef AUTH_HOOK_H
#define AUTH_HOOK_H

#include "auth/auth_private.h"

struct hooks;

/* Reads the settings. e: 2 "hook_invalid", naming the hook's setting. */
MUST_CHECK bool hook_open(const struct auth_config *c, struct hooks **out, struct err *e);
void hook_close(struct hooks *h);

/* Who calls: a request, or a job on behalf of one. */
struct hook_caller {
    const struct auth *auth;
    struct pg_client *pg;
    struct arena *arena;
    struct str client_ip; /* absent: none */
};

bool hook_enabled(const struct auth *a, enum hook_id id);
/*
 * input: a JSON object, to which metadata is added. *output: the answer, a JSON object without an
 * error in it; "{}" when there was none. e: what the hook's error says (its http_code, code
 * "unknown" or, for 500, "unexpected_failure"), those of webhook.h, 422 "hook_timeout" also for a
 * function, 500 "unexpected_failure" for one that fails, 503/504 of the database.
 */
MUST_CHECK bool hook_call(const struct hook_caller *c, enum hook_id id, struct str input,
                          struct str *output, struct err *e);
MUST_CHECK bool hook_run(struct req *req, enum hook_id id, struct str input, struct str *output,
                         struct err *e);

/*
 * before_user_created and after_user_created; nothing where they are not enabled. The user as
 * they will be, or are.
 */
MUST_CHECK bool hook_user(struct req *req, enum hook_id id, const struct user *u, struct err *e);
/* Of the attempt hooks' answers: *reject with the message to refuse with, fallback when it has none. */
struct hook_decision {
    bool reject, logout;
    struct str message;
};
MUST_CHECK bool hook_password(struct req *req, const struct user *u, bool valid,
                              struct hook_decision *out, struct err *e);
MUST_CHECK bool hook_factor(struct req *req, const struct user *u, struct str factor_id,
                            struct str factor_type, bool valid, struct hook_decision *out,
                            struct err *e);
/*
 * send_email, from the outbox. said: what hook_mail_input has made of the mail when it was queued. e:
 * what the hook's error says when it is final, a 4xx; else 503 "hook_failed": later again.
 */
MUST_CHECK bool hook_mail(const struct hook_caller *c, struct str said, struct err *e);
struct mail;
void hook_mail_input(struct buf *b, const struct req *req, const struct mail *m);
/* custom_access_token: *out are the claims to sign, checked. claims: a JSON object. */
MUST_CHECK bool hook_claims(struct req *req, const struct user *u, struct str claims,
                            const char *method, struct str *out, struct err *e);

#endif
