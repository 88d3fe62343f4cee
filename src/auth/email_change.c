/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/email_change.h"

#include "auth/mailer.h"
#include "auth/one_time.h"

static bool ask(struct pg_tx *tx, struct req *req, const struct user *u, const struct email_change *c,
                enum one_time_kind kind, struct str to, struct err *e)
{
    struct one_time t;
    one_time_make(req, to, c->pkce.method, &t);
    one_time_store(tx, kind, uuid_str(&u->id), to, &t);
    return mailer_queue(tx, req,
                        &(struct mail){.kind = MAIL_EMAIL_CHANGE,
                                       .to = to,
                                       .user = u,
                                       .new_email = c->email,
                                       .old_email = u->email,
                                       .otp = t.otp,
                                       .token_hash = t.hash,
                                       .verify_type = "email_change",
                                       .redirect_to = c->redirect_to},
                        e);
}

bool email_change_ask(struct pg_tx *tx, struct req *req, const struct user *u,
                      const struct email_change *c, struct err *e)
{
    struct str id = uuid_str(&u->id);
    pg_tx_add(tx, &user_email_ask_sql, PG_ARGS(id, c->email));
    flow_begin(tx, &c->pkce, id, "email_change");
    return ask(tx, req, u, c, ONE_TIME_EMAIL_CHANGE_NEW, c->email, e)
           && (!auth_config_of(req)->secure_email_change || !u->email.n
               || ask(tx, req, u, c, ONE_TIME_EMAIL_CHANGE_CURRENT, u->email, e));
}
