/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/token_mail.h"

bool token_mail_queue(struct pg_tx *tx, struct req *req, const struct token_mail *m,
                      const struct user *u, struct err *e)
{
    struct one_time t;
    struct str id = uuid_str(&u->id);
    one_time_make(req, u->email, m->pkce.method != NULL, &t);
    one_time_store(tx, m->token, id, u->email, &t);
    flow_begin(tx, &m->pkce, id, m->authentication);
    return mailer_queue(tx, req,
                        &(struct mail){.kind = m->kind,
                                       .to = u->email,
                                       .user = u,
                                       .otp = t.otp,
                                       .token_hash = t.hash,
                                       .verify_type = m->verify_type,
                                       .redirect_to = m->redirect_to},
                        e);
}
