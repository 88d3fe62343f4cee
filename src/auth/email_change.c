/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/email_change.h"

#include "auth/mailer.h"
#include "auth/one_time.h"

/* A token for the address, which voids the former one. */
static void token(struct pg_tx *tx, struct req *req, const struct user *u,
                  const struct email_change *c, enum one_time_kind kind, struct str to,
                  struct one_time *out)
{
    one_time_make(req, to, c->pkce.method, out);
    one_time_store(tx, kind, uuid_str(&u->id), to, out);
}

bool email_change_ask(struct pg_tx *tx, struct req *req, const struct user *u,
                      const struct email_change *c, struct err *e)
{
    bool both = auth_config_of(req)->secure_email_change && u->email.n > 0;
    struct str id = uuid_str(&u->id);
    struct one_time fresh, current = {0};
    pg_tx_add(tx, &user_email_ask_sql, PG_ARGS(id, c->email));
    flow_begin(tx, &c->pkce, id, "email_change");
    token(tx, req, u, c, ONE_TIME_EMAIL_CHANGE_NEW, c->email, &fresh);
    if (both)
        token(tx, req, u, c, ONE_TIME_EMAIL_CHANGE_CURRENT, u->email, &current);
    struct mail m = {.kind = MAIL_EMAIL_CHANGE,
                     .to = c->email,
                     .user = u,
                     .new_email = c->email,
                     .old_email = u->email,
                     .otp = fresh.otp,
                     .token_hash = fresh.hash,
                     .current_otp = current.otp,
                     .current_hash = current.hash,
                     .verify_type = "email_change",
                     .redirect_to = c->redirect_to};
    if (!mailer_queue(tx, req, &m, e))
        return false;
    m.to = u->email;
    m.otp = current.otp;
    m.token_hash = current.hash;
    m.told_with_other = true;
    return !both || mailer_queue(tx, req, &m, e);
}
