/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of auth/ share among themselves. */
#ifndef AUTH_AUTH_PRIVATE_H
#define AUTH_AUTH_PRIVATE_H

#include "audit/audit.h"
#include "auth/auth.h"
#include "auth/auth_sql.h"
#include "guard/services.h"
#include "pg/pg_tx.h"
#include "runtime/loop.h"
#include "runtime/offload.h"

struct caller_cache;
struct letters;
struct hooks;

struct auth {
    struct auth_config config;
    struct offload_pool *hasher;
    struct letters *letters;
    struct hooks *hooks;
    struct caller_cache *callers[LOOP_MAX];
    struct keyset *google_keys; /* NULL: off */
};

static inline struct auth *auth_of(const struct req *req)
{
    return req->services->auth;
}

static inline const struct auth_config *auth_config_of(const struct req *req)
{
    return &req->services->auth->config;
}

/* Counts basalt_auth_events_total{event=…}. */
void auth_count(const char *event);

/* hasher.c: password hashes on a bounded pool, off the loops; the time waited is added to req->hash_us. */
MUST_CHECK bool hasher_open(unsigned threads, struct offload_pool **out, struct err *e);
void hasher_close(struct offload_pool *p);
MUST_CHECK bool hasher_make(struct req *req, struct str password, struct str *out, struct err *e);
/*
 * Before anything else that a login costs: the excess of a storm is refused at once, and does not
 * read its users first, at everybody's expense. For CLEANUP: offload_place_drop.
 */
MUST_CHECK bool hasher_place(struct req *req, struct offload_place *out, struct err *e);
/*
 * At the place, or queued anew when it is used up. stored empty: equal work, *ok false. *stale: right,
 * but to be hashed anew.
 */
MUST_CHECK bool hasher_check(struct req *req, struct offload_place *place, struct str password,
                             struct str stored, bool *ok, bool *stale, struct err *e);

/* user.c */
enum { USER_COLUMNS = 27 };
/* 0 for null alone. SQL may say 'infinity', or a year that our clock does not know: for ever, except
 * for what begins with a minus or ends in BC. */
int64_t user_time(const struct pg_result *r, size_t row, unsigned column);
/* A row of basalt.user_row, copied into the arena; every user_* statement returns its columns in one order. */
MUST_CHECK bool user_from_row(const struct pg_result *r, size_t row, struct arena *a, struct user *out, struct err *e);
/*
 * Flushes tx: the user of the (normalised) address, locked until it ends, so that of two who ask at once
 * the second sees what the first has done.
 */
MUST_CHECK bool user_find_locked(struct pg_tx *tx, struct req *req, struct str email, struct user *out,
                                 bool *found, struct err *e);

/* Whether they could reach aal2. */
bool user_has_factor(const struct user *u);

/* session.c */
#define SESSION_REFRESHED "token_refresh" /* GoTrue's word for the grant */
/* A new session id and refresh token. */
void session_prepare(struct req *req, struct token_pair *pair);
/* The refresh token of version 2 for that count; key as auth.sessions keeps it. */
void session_count(struct req *req, struct token_pair *pair, struct str key, int64_t counter);
/* amr: JSON array. The user as the token shall show it. */
MUST_CHECK bool session_sign(struct req *req, const struct user *u, struct str aal, struct str amr,
                             struct token_pair *pair, struct err *e);
/*
 * After the commit that opened or refreshed the session: where a hook writes the claims it is asked
 * now, and the token signed; else nothing is left to do. A session that was opened for it is taken
 * back when that fails, since nobody has its tokens; a refresh is repeated by its client.
 */
#define SESSION_REFRESHED "token_refresh" /* method of a session that there was; GoTrue's word */
MUST_CHECK bool session_issue(struct req *req, const struct user *u, const char *method,
                              struct token_pair *pair, struct err *e);
/* One of the user's; caches are void before it returns. 404 "session_not_found". */
MUST_CHECK bool session_end_one(struct req *req, struct str user_id, struct str id,
                                const struct audit_note *note, struct err *e);
/* Ends all sessions of a user who has not asked for it. */
MUST_CHECK bool session_end_all(struct req *req, const struct user *u, struct err *e);
/* [{"method":"password","timestamp":…}] */
struct str session_amr(struct req *req, const char *method);
/* Queues session_open for a user whose stored hash is `stored`. */
void session_queue_open(struct pg_tx *tx, struct req *req, const struct user *u, const struct token_pair *pair,
                        const char *method, struct str new_hash);

/* signup.c */
/*
 * The address was signed up before (*found: in this audience): an unconfirmed user gets the mail once
 * more, of a confirmed one there is an audit row alone. 429 as one_time_frequency.
 */
MUST_CHECK bool signup_repeat(struct req *req, struct str email, const struct token_mail *mail,
                              struct user *out, bool *found, struct err *e);

/* caller.c */
void caller_cache_close(struct auth *a);

#endif
