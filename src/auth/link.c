/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/link.h"

#include "auth/mailer.h"
#include "auth/password_rules.h"
#include "auth/redirect.h"

struct type_row {
    const char *name;
    enum one_time_kind token;
    enum mail_kind mail;
    const char *verify_type;
};

enum type { SIGNUP, INVITE, MAGICLINK, RECOVERY, CHANGE_CURRENT, CHANGE_NEW, TYPE_COUNT };

static const struct type_row types[TYPE_COUNT] = {
    [SIGNUP] = {"signup", ONE_TIME_CONFIRMATION, MAIL_CONFIRMATION, "signup"},
    [INVITE] = {"invite", ONE_TIME_CONFIRMATION, MAIL_INVITE, "invite"},
    [MAGICLINK] = {"magiclink", ONE_TIME_RECOVERY, MAIL_MAGIC_LINK, "magiclink"},
    [RECOVERY] = {"recovery", ONE_TIME_RECOVERY, MAIL_RECOVERY, "recovery"},
    [CHANGE_CURRENT] = {"email_change_current", ONE_TIME_EMAIL_CHANGE_CURRENT, MAIL_EMAIL_CHANGE,
                        "email_change"},
    [CHANGE_NEW] = {"email_change_new", ONE_TIME_EMAIL_CHANGE_NEW, MAIL_EMAIL_CHANGE,
                    "email_change"},
};

struct making {
    const struct link_ask *ask;
    enum type type;
    struct str to;        /* whom the token belongs to: their address, or the one they want */
    struct str new_email; /* normalised */
    struct link_made *out;
};

static bool is_change(enum type t)
{
    return t == CHANGE_CURRENT || t == CHANGE_NEW;
}

static bool type_of(struct str name, enum type *out, struct err *e)
{
    for (unsigned i = 0; i < TYPE_COUNT; i++) {
        if (!str_is(name, types[i].name))
            continue;
        *out = (enum type)i;
        return true;
    }
    return err_set(e, 400, "validation_failed", "Invalid email action link type requested: %.*s",
                   STR_ARG(name));
}

static bool taken(struct err *e)
{
    return err_set(e, 422, "email_exists",
                   "A user with this email address has already been registered");
}

static struct mail mail_of(const struct making *m, const struct user *u)
{
    return (struct mail){
        .kind = types[m->type].mail,
        .to = m->to,
        .user = u,
        .new_email = m->new_email,
        .otp = m->out->token.otp,
        .token_hash = m->out->token.hash,
        .verify_type = types[m->type].verify_type,
        .redirect_to = m->out->redirect_to,
    };
}

static void note(struct pg_tx *tx, struct req *req, const struct user *u, enum audit_event event)
{
    audit_add(tx, req,
              &(struct audit_note){.event = event,
                                   .actor_kind = S("service"),
                                   .subject_id = uuid_str(&u->id)});
}

/* What belongs to the link in the transaction that makes or changes its user. */
static bool queue(struct pg_tx *tx, struct req *req, const struct user *u, const void *ctx,
                  struct err *e)
{
    const struct making *m = ctx;
    struct str id = uuid_str(&u->id);
    if (is_change(m->type))
        pg_tx_add(tx, &user_email_plan_sql, PG_ARGS(id, m->new_email));
    one_time_store(tx, types[m->type].token, id, m->to, &m->out->token);
    if (m->type == INVITE) {
        pg_tx_add(tx, &user_set_invited_sql, PG_ARGS(id));
        note(tx, req, u, AUDIT_USER_INVITED);
    }
    struct mail mail = mail_of(m, u);
    return !m->ask->send || mailer_queue(tx, req, &mail, e);
}

/* ---- for somebody new ------------------------------------------------------------------------ */

static bool make_user(struct req *req, struct making *m, struct err *e)
{
    const struct link_ask *ask = m->ask;
    if (m->type == RECOVERY || is_change(m->type))
        return err_set(e, 404, "user_not_found", "User with this email not found");
    struct signup s = {
        .email = ask->email,
        .user_metadata = ask->data,
        .actor_kind = "service",
        .also = queue,
        .also_ctx = m,
    };
    if (m->type == MAGICLINK)
        m->type = SIGNUP; /* without a password: they have the link */
    else if (m->type == SIGNUP && !ask->password.n)
        return err_set(e, 400, "validation_failed", "Signup requires a valid password");
    else if (m->type == SIGNUP)
        s.password = ask->password;
    if (s.password.p && !password_rules_ask(req, s.password, e))
        return false;
    struct login l;
    if (!signup_run(req, &s, &l, e))
        return false;
    m->out->user = l.user;
    return true;
}

/* ---- for somebody known ---------------------------------------------------------------------- */

static bool may_have(struct pg_tx *tx, const struct making *m, const struct user *u, struct err *e)
{
    if ((m->type == SIGNUP || m->type == INVITE) && user_confirmed(u))
        return taken(e);
    if (!is_change(m->type))
        return true;
    pg_tx_add(tx, &user_update_look_sql,
              PG_ARGS(uuid_str(&u->id), (struct str){0}, m->new_email, (struct str){0}));
    if (!pg_tx_flush(tx, e))
        return false;
    return !pg_row_bool(pg_tx_result(tx, 0), 0, USER_UPDATE_LOOK_EMAIL_TAKEN) || taken(e);
}

/* False with e clear: nobody has the address. */
static bool change_user(struct req *req, struct making *m, struct err *e)
{
    struct user u;
    bool found;
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_begin(&tx, req->pg, PG_LOGIN_AUTH, e)
        || !user_find_locked(&tx, req, m->ask->email, &u, &found, e) || !found || !may_have(&tx, m, &u, e))
        return false;
    struct str id = uuid_str(&u.id);
    if (m->type == SIGNUP && m->ask->data.p)
        pg_tx_add(&tx, &user_update_write_sql,
                  PG_ARGS(id, u.email, (struct str){0}, (struct str){0}, m->ask->data,
                          (struct str){0}, (struct str){0}));
    if (m->type == MAGICLINK || m->type == RECOVERY)
        note(&tx, req, &u, AUDIT_USER_RECOVERY_REQUESTED);
    if (!queue(&tx, req, &u, m, e))
        return false;
    unsigned last = tx.count;
    pg_tx_add(&tx, &user_by_id_sql, PG_ARGS(id));
    bool ok = audit_commit(&tx, req, e);
    caller_forget(id); /* also when the outcome is not known */
    return ok && user_from_row(pg_tx_result(&tx, last), 0, req->arena, &m->out->user, e);
}

/* ---- both ------------------------------------------------------------------------------------ */

static bool prepare(struct req *req, struct making *m, struct err *e)
{
    const struct link_ask *ask = m->ask;
    if (!type_of(ask->type, &m->type, e))
        return false;
    if (m->type == CHANGE_CURRENT && !auth_config_of(req)->secure_email_change)
        return err_set(e, 400, "validation_failed",
                       "Enable secure email change to generate link for current email");
    if (is_change(m->type)
        && !user_email_normal(req->arena, ask->new_email, &m->new_email, e))
        return false;
    m->to = m->type == CHANGE_NEW ? m->new_email : ask->email;
    m->out->redirect_to =
        redirect_target(req, ask->redirect_to.n ? ask->redirect_to : (struct str){0});
    one_time_make(req, m->to, false, &m->out->token);
    return true;
}

bool link_make(struct req *req, const struct link_ask *ask, struct link_made *out, struct err *e)
{
    struct making m = {.ask = ask, .out = out};
    if (!prepare(req, &m, e))
        return false;
    for (int tries = 0; tries < 2; tries++) {
        bool made = change_user(req, &m, e);
        if (!made && e->status)
            return false;
        if (made || make_user(req, &m, e)) {
            struct mail mail = mail_of(&m, &out->user);
            out->type = types[m.type].name;
            out->url = mailer_link(req, &mail);
            return true;
        }
        if (strcmp(e->code, "email_exists") != 0) /* else: somebody signed up in this very moment */
            return false;
        err_clear(e);
        audit_forget(req);
    }
    return err_set(e, 409, "conflict", "The user was changed by another request, try again");
}
