/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounts: users, sessions and tokens over GoTrue's schema and wire protocol (Supabase Auth). The
 * one door of this folder: what the app routes, the pipeline and the command line may use. The only
 * folder that issues tokens.
 */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "base/arena.h"
#include "base/err.h"
#include "base/uuid.h"
#include "guard/guard.h"
#include "http/req.h"
#include "http/resp.h"
#include "http/smtp.h"

struct auth;
struct job; /* jobs/jobs.h */
struct pg_tx;

/* What becomes of a password that everybody tries first. */
enum password_blocklist {
    PASSWORD_BLOCKLIST_REPORT, /* taken; the session says weak_password */
    PASSWORD_BLOCKLIST_REFUSE,
    PASSWORD_BLOCKLIST_OFF
};

enum mail_kind {
#define MAIL(id, name, path, subject) MAIL_##id,
#define NOTICE(id, name, subject)     MAIL_##id##_NOTIFICATION,
#include "auth/mail.def"
    MAIL_KIND_COUNT,
    MAIL_FIRST_NOTICE = MAIL_PASSWORD_CHANGED_NOTIFICATION
};

/* Where links of mails lead: a setting each. */
enum mail_path {
    MAIL_PATH_none,
    MAIL_PATH_confirmation,
    MAIL_PATH_recovery,
    MAIL_PATH_invite,
    MAIL_PATH_email_change,
    MAIL_PATH_COUNT
};

/* Points at which an app's own function or service is asked or told (auth.md §5.5). */
enum hook_id {
    HOOK_CUSTOM_ACCESS_TOKEN,
    HOOK_SEND_EMAIL,
    HOOK_SEND_SMS,
    HOOK_PASSWORD_VERIFICATION,
    HOOK_MFA_VERIFICATION,
    HOOK_BEFORE_USER_CREATED,
    HOOK_AFTER_USER_CREATED,
    HOOK_COUNT
};

struct auth_config {
    struct guard *guard;          /* signs and verifies with the same keys */
    struct str api_url;           /* public base, "https://api.example.com" */
    struct str site_url;
    struct str audience;          /* "authenticated": aud of new users */
    struct str default_role;      /* "authenticated": their database role */
    struct str issuer;            /* claim iss; absent: none */
    int64_t token_life_us;        /* of access tokens, 1 h */
    int64_t refresh_reuse_us;     /* a spent refresh token still works this long, 10 s */
    bool refresh_rotation;        /* reuse outside the rules revokes the whole session */
    bool refresh_counted, refresh_reuse_allowed; /* tokens of version 2; those work for ever */
    int64_t refresh_upgrade;      /* per cent of sessions that change to version 2 when refreshed */
    int64_t session_timebox_us, session_inactivity_us; /* 0: none */
    int64_t session_low_aal_us;   /* life at aal1 of a user who has a second factor; 0: no bound */
    bool session_single;          /* only the session used last goes on, of each tag: */
    struct str session_tags;      /* "mobile,web": others count as the first */
    bool signup_enabled, email_enabled, anonymous_enabled, autoconfirm, unverified_may_login;
    bool manual_linking;          /* identities may be linked and unlinked by their user */
    int64_t password_min;         /* bytes */
    struct str uri_allow_list;      /* patterns of redirect targets beside the site (auth/redirect.h) */
    bool magic_link_enabled, secure_email_change;
    bool enumeration_strict;        /* refusals that tell who has an account are not made */
    bool link_page;                 /* a link of a mail shows a page; its button spends the token */
    int64_t otp_life_us, mail_frequency_us; /* of one-time tokens; least time between two mails of a purpose */
    int64_t otp_length;             /* digits, 6 to 10 */
    struct str one_time_secret;     /* makes a token's hash; the same on every node */
    int64_t flow_life_us;           /* of a PKCE flow, 5 min */
    struct str password_characters; /* sets separated by ':', one character of each is needed */
    enum password_blocklist password_blocklist;
    bool pwned_enabled, pwned_fail_closed; /* leaked passwords are asked for, auth/pwned.h */
    struct str pwned_url, pwned_user_agent;
    bool password_needs_nonce;    /* of a session older than a day: GET /reauthenticate first */
    bool password_needs_current;  /* unless a mail opened the session */
    unsigned hash_threads;
    const char *profile_table;    /* "schema.table"; NULL: no profiles */
    struct str profile_fields;    /* "name,role,…": what clients may write */
    struct str profile_roles;     /* "basic_user,Creator,…": the first is the default */
    size_t cache_entries;         /* users kept per loop */
    bool google_enabled, google_skip_nonce;
    struct str google_client_ids; /* audiences of ID tokens that are for this app */
    struct str google_keys_url;   /* where Google's public keys are */
    struct str id_token_issuers;  /* that may be named at all */
    struct hook_config {
        struct str uri;           /* absent: off */
        struct str secrets;       /* of calls over HTTP */
    } hooks[HOOK_COUNT];
    struct captcha_config {
        struct str secret;        /* absent: no captchas */
        struct str url;           /* where the provider verifies answers */
        int64_t timeout_us;
    } captcha;
    struct str mailer_paths[MAIL_PATH_COUNT]; /* "/auth/v1/verify", or an absolute URL */
    struct str mailer_external_hosts; /* X-Forwarded-Host that may be the host of a link */
    struct str mailer_authorized;     /* the only addresses that get mail; absent: all */
    int64_t mail_kept_us;             /* in the outbox, sent or not */
    int64_t anonymous_kept_us;        /* anonymous users; 0: for ever */
    unsigned mailer_notifications;    /* bit per enum mail_kind that is sent; of notices alone */
    const char *mail_subjects[MAIL_KIND_COUNT];  /* NULL: of the folder, or built in */
    const char *mail_templates[MAIL_KIND_COUNT]; /* file or URL; NULL: likewise */
    const char *mail_folder;          /* with <kind>.html and <kind>.subject; NULL: none */
    struct smtp_server smtp;          /* host absent: mails wait */
    struct str mail_from, mail_from_name;
    struct str mail_headers;          /* JSON object of further headers, or absent */
};

MUST_CHECK bool auth_open(const struct auth_config *c, struct auth **out, struct err *e);
void auth_close(struct auth *a);
/* Where profiles are; known only once the database is, so it may be set again before serving. */
void auth_set_profile_table(struct auth *a, const char *table);
const struct auth_config *auth_settings(const struct auth *a);
struct offload_stats;
struct offload_stats auth_hash_stats(const struct auth *a);

extern const struct route auth_routes[];
extern const size_t auth_routes_count;

/* Which audience's users a request is about: X-JWT-AUD, else the token's, else the configured one
 * (auth.md §0 "Audience"). */
struct str auth_audience(const struct req *req);

/* ---- users ------------------------------------------------------------------------------- */

/* A user; strings in the request's arena. Times are wall µs, 0 when unset. */
struct user {
    struct uuid id;
    struct str aud, role, email, phone;
    struct str password;   /* stored hash, "" when none; never shown */
    struct str email_change, phone_change; /* asked for, not confirmed; "" when none */
    int64_t email_confirmed_us, phone_confirmed_us, banned_until_us, deleted_us, created_us, updated_us;
    int64_t invited_us, confirmation_sent_us, recovery_sent_us, email_change_sent_us, phone_change_sent_us;
    int64_t reauthentication_sent_us, last_sign_in_us;
    bool is_anonymous, is_sso;
    struct str app_metadata, user_metadata; /* JSON objects */
    struct str factors, identities;         /* JSON arrays; factors absent when there are none */
};

/* GoTrue's User object (auth.md §1.1). */
void user_put_json(struct buf *b, const struct user *u);
/* False without e->code set to anything but "user_not_found" (404) when there is none. */
MUST_CHECK bool user_load(struct req *req, struct str id, struct user *out, struct err *e);
MUST_CHECK bool user_load_by_email(struct req *req, struct str email, struct user *out, struct err *e);
/* The address or the number was. A login by e-mail asks for email_confirmed_us. */
bool user_confirmed(const struct user *u);
/* Lower-cased copy when it is an address GoTrue accepts (auth.md §6.1); else 400 "validation_failed". */
MUST_CHECK bool user_email_normal(struct arena *a, struct str email, struct str *out, struct err *e);

/*
 * Likewise of a number: one leading + and all spaces go; then 2 to 15 digits, no leading zero.
 */
MUST_CHECK bool user_phone_normal(struct arena *a, struct str phone, struct str *out, struct err *e);

/* A person as an identity provider knows them. */
struct external {
    const char *provider; /* "google" */
    struct str subject;   /* theirs at the provider, for ever */
    struct str email;     /* normalised; absent unless the provider has verified it */
    struct str identity;  /* identity_data: JSON object */
};

/* ---- a user changes themselves ------------------------------------------------------------- */

/* Absent: kept. An empty password is one that is too short. */
struct user_edit {
    struct str email, phone, channel;
    struct str password, current_password, nonce;
    struct str data, app_metadata; /* merged key by key, null deletes */
    struct str code_challenge, code_challenge_method;
};
/*
 * The caller's own. A new password ends their other sessions and voids what mails hold; a new address
 * is asked by mail first, the old one too where secure_email_change is on (an anonymous user's is taken
 * at once under autoconfirm). Errors in GoTrue's order: 400 validation_failed; 422 weak_password; 403
 * not_admin; 401 insufficient_aal; 422 validation_failed (anonymous, password alone), user_sso_managed,
 * email_exists, phone_exists; 400 reauthentication_needed; 422 reauthentication_not_valid; 400
 * current_password_required, current_password_invalid; 422 same_password; 400 phone_provider_disabled;
 * 429 over_email_send_rate_limit; 409 conflict.
 */
MUST_CHECK bool user_update_run(struct req *req, const struct user_edit *edit, struct user *out,
                                struct err *e);
/*
 * Mails the caller the nonce that a new password may ask for. Errors: 400 validation_failed (nowhere
 * to send it), 422 email_not_confirmed, phone_not_confirmed; 429.
 */
MUST_CHECK bool user_update_reauthenticate(struct req *req, struct err *e);

/* ---- signup: the one way a user comes to be ---------------------------------------------- */

struct token_pair {
    struct str access_token, refresh_token;
    int64_t expires_in_s, expires_at_s;
    struct uuid session_id;
    bool counted;               /* the refresh token is of version 2: */
    int64_t counter;            /* how often the session was refreshed */
    struct str hmac_key;        /* secret of the session; absent in version 1 */
    int64_t session_created_us; /* 0: just now */
    struct str claims; /* of a token that a hook has yet to see (session_issue); else absent */
};

struct token_mail;

struct signup {
    struct uuid id;           /* "" : made here */
    struct str email, phone;  /* normalised; one of them at least, unless anonymous */
    bool anonymous;           /* nobody yet: no address, no number, no identity */
    struct str aud, role;     /* absent: the configured ones */
    struct str password;      /* absent with password_hash, or for a user without one */
    struct str password_hash; /* imported, already checked */
    struct str user_metadata; /* JSON object or absent */
    struct str app_metadata;  /* merged over provider and providers; JSON object or absent */
    struct str profile;       /* JSON object of checked fields; absent: taken from user_metadata */
    bool email_confirmed, phone_confirmed;
    bool metadata_is_identity; /* user_metadata gets sub, email, … (public signup, not admin create) */
    const struct token_mail *mail; /* auth/token_mail.h; sent with the rows; NULL: none */
    bool open_session;         /* also log in, where the rows as written allow it (else no token in the pair) */
    bool want_profile;         /* give the written profile back */
    bool quiet;                /* no hook is asked or told (POST /admin/users, the command line) */
    int64_t banned_until_us;
    const char *actor_kind;    /* "user", "service", "cli" */
    const struct external *external; /* who they are at a provider; NULL: by e-mail or phone */
    /* Queues what belongs to the same transaction; u has id, addresses and user_metadata. NULL: nothing. */
    bool (*also)(struct pg_tx *tx, struct req *req, const struct user *u, const void *ctx,
                 struct err *e);
    const void *also_ctx;
};

/* What signing up and logging in give. */
struct login {
    struct user user;
    struct token_pair pair; /* empty when no session was asked for */
    struct str profile;     /* JSON object; absent when not asked for or there is no profile table */
};

/*
 * Hashes, then writes user, identity, profile, session and audit rows in one flush and transaction. Errors: 422 "email_exists" / "phone_exists"; 500
 * "unexpected_failure" "Failed to create profile. Auth user removed for safety." or "Database error
 * saving new user"; 429 from the hash pool; 503/504 of the database.
 */
MUST_CHECK bool signup_run(struct req *req, const struct signup *in, struct login *out, struct err *e);
/* For signup.mail: the mail whose link confirms the address, and leads to redirect_target then. */
const struct token_mail *signup_confirmation(struct req *req);
/*
 * Fields of a profile from metadata of the same names, leniently: wrong types and unknown roles are
 * left out. JSON object with at least the default role.
 */
struct str signup_profile_from_metadata(struct req *req, struct str metadata);
/*
 * One field of an app route's body, strictly: 422 "validation_failed" naming it. value is its JSON text.
 */
MUST_CHECK bool signup_profile_check(const struct auth *a, struct str name, struct str value, struct arena *arena,
                                     struct err *e);
bool signup_profile_writable(const struct auth *a, struct str name);

/* ---- login, refresh, logout --------------------------------------------------------------- */

/*
 * By e-mail and password. Errors: 400 "invalid_credentials" (unknown user, no or wrong password;
 * equal work), "user_banned", "email_not_confirmed"; 429, 503, 504. want_profile: 404
 * "profile_not_found", and no session, for a user whose profile is missing.
 */
MUST_CHECK bool login_password(struct req *req, struct str email, struct str password, bool want_profile,
                               struct login *out, struct err *e);

/* An ID token as a client sends it; absent what was not sent. */
struct id_token_in {
    struct str token, access_token, nonce;
    struct str provider, client_id, issuer; /* "google", or the last two */
};
/*
 * Whether the token is genuine, meant for this app, of now and not replayed. Parks: never with a
 * transaction open. Errors: 400 "oauth:invalid request", "oauth:invalid nonce" (bodies of RFC 6749
 * §5.2), "provider_disabled", "validation_failed"; 503 "provider_unavailable".
 */
MUST_CHECK bool id_token_check(struct req *req, const struct id_token_in *in, struct external *out, struct err *e);
/*
 * Logs in whom the identity belongs to, else the user of its verified address, else a new user with
 * a profile. A user whose address was never confirmed loses whatever the address's owner did not set.
 * Errors: 400 "user_banned", "email_not_confirmed"; 422 "provider_email_needs_verification",
 * "signup_disabled"; 404 "profile_not_found"; 409 "conflict"; those of signup_run.
 */
MUST_CHECK bool external_login(struct req *req, const struct external *x, bool want_profile, struct login *out,
                               bool *is_new, struct err *e);

/* Adds the identity to the caller, who gets a new session. 422 "identity_already_exists"; else as above. */
MUST_CHECK bool external_link(struct req *req, const struct external *x, struct login *out, struct err *e);

/* The refresh grant (auth.md §2.3), all its errors, revocations committed even when refused. */
struct refresh_outcome {
    bool rotated, reused;
    const char *reuse_cause; /* "concurrent-refresh", "fail-to-save", "always-allow", several with commas, "" */
};
MUST_CHECK bool refresh_run(struct req *req, struct str refresh_token, struct user *user, struct token_pair *pair,
                                struct refresh_outcome *outcome, struct err *e);

enum session_scope { SESSION_GLOBAL, SESSION_LOCAL, SESSION_OTHERS };
/* Ends sessions of the caller; caches are void before it returns. */
MUST_CHECK bool session_logout(struct req *req, enum session_scope scope, struct err *e);
/*
 * Ends the session of a refresh token, or with `every` all of its user's. True, and nothing more, for
 * a token that is unknown: there is nothing to guess here (RFC 7009 §2.2).
 */
MUST_CHECK bool revocation_by_token(struct req *req, struct str refresh_token, bool every, struct err *e);

/* GoTrue's Session object; the user inside. */
void session_put_json(struct buf *b, const struct token_pair *pair, const struct user *user);

/* ---- the caller ---------------------------------------------------------------------------- */

/* The user behind a verified token, with what the API shows of it; lives as long as the request. */
struct caller {
    struct user user;
    struct str json;       /* the User object */
    struct str session_ip, session_agent; /* as the session noted them; absent without one, or when nothing is held to them */
    void *cached;          /* not NULL: json is shared memory, kept by a reference */
};

/*
 * For routes with ACCESS_USER, after guard_allow: loads the user and checks that the session still
 * lives (cached while their epochs stand). Errors: 403 "user_not_found", "session_not_found", "user_banned".
 */
MUST_CHECK bool caller_check(struct req *req, struct err *e);
/*
 * For routes with ACCESS_SERVICE: an administrator who is a user and not a key has a session, which
 * must still live. 403 "session_expired" (auth.md §0 "Bearer check"), "user_banned".
 */
MUST_CHECK bool caller_check_service(struct req *req, struct err *e);
const struct caller *caller_of(const struct req *req);
/* Answers with the caller's User object without copying it. */
void caller_send(struct req *req, struct resp *resp);
/* Gives the reference back, if there is one; after the answer was sent. */
void caller_release(struct req *req);
/* Voids what is cached about a user or a session, on every loop; before the answer leaves. */
void caller_forget(struct str user_or_session_id);

/* ---- captcha ------------------------------------------------------------------------------- */

/*
 * On routes with ROUTE_CAPTCHA, after the body was read: whether the provider says that the body's
 * gotrue_meta_security.captcha_token was earned. Not asked of administrators and of grants that
 * prove themselves otherwise. 400 "captcha_failed"; 500 "unexpected_failure" when the provider does
 * not answer in time.
 */
MUST_CHECK bool captcha_check(struct req *req, struct err *e);

/* ---- profiles ------------------------------------------------------------------------------ */

/* The profile's JSON object; absent in *out when there is no row or no table. */
MUST_CHECK bool profile_load(struct req *req, struct str user_id, struct str *out, struct err *e);

/*
 * Sets fields (a JSON object, checked) of the caller's own profile; *out: the row as it then is.
 * Errors: 404 "profile_not_found"; 422 "validation_failed" for what the table refuses.
 */
MUST_CHECK bool profile_change(struct req *req, struct str fields, struct str *out, struct err *e);

/* ---- the caller's own account ---------------------------------------------------------------- */

struct user_security {
    int64_t sessions; /* that live */
    int64_t last_sign_in_us, email_confirmed_us;
    int64_t password_set_us; /* 0: not known */
    bool has_password, has_factor;
};
MUST_CHECK bool security_read(struct req *req, struct user_security *out, struct err *e);
/*
 * The caller's user, read anew, once `password` was found to be theirs; without asking when they have
 * none (out->password is then empty). Errors: 400 "invalid_credentials"; 429 of too many tries.
 */
MUST_CHECK bool proof_password(struct req *req, struct str password, struct user *out, struct err *e);
/*
 * Another password for the caller, who shows the current one. Their other sessions end, this one
 * stays; tokens of mails are void. `password` has passed the rules. Errors of proof_password; 400
 * "validation_failed" when there is no current one; 422 "same_password"; 409 "conflict".
 */
MUST_CHECK bool recovery_change(struct req *req, struct str current, struct str password, struct err *e);
/*
 * Mails a link and a code to the user of that address, if there is one who may have it. True, after the
 * same time, whether or not; the database's errors alone are told.
 */
MUST_CHECK bool recovery_request(struct req *req, struct str email, struct str redirect_to, struct err *e);
struct recovery {
    struct str user_id, hash;
};
/*
 * token: of the link (with or without "pkce_"), or the code of the mail, which needs its address.
 * Errors: 403 "otp_expired"; 400 "validation_failed"; 429 after too many codes.
 */
MUST_CHECK bool recovery_check(struct req *req, struct str token, struct str email, struct recovery *out,
                               struct err *e);
/*
 * Spends the token for a password that has passed the rules. All sessions end; an address that was not
 * confirmed now is. Errors: 403 "otp_expired" also when somebody was faster; 429 of the hash pool.
 */
MUST_CHECK bool recovery_spend(struct req *req, const struct recovery *r, struct str password, struct err *e);
/*
 * The rules of the settings (auth.md §6.7): 422 "weak_password" with its reasons. May ask whether the
 * password is known from a leak, so it parks: not while a transaction is open.
 */
MUST_CHECK bool recovery_password_fits(struct req *req, struct str password, struct err *e);
/*
 * The caller goes: user, identities, sessions and profile in one transaction. Errors of proof_password;
 * 409 "conflict" when the user has changed meanwhile or an app's rows hold on to them.
 */
MUST_CHECK bool removal_run(struct req *req, struct str password, struct err *e);

/* ---- users of end-to-end tests ----------------------------------------------------------------- */

/* A real user that a test has asked for, with a real session; gone with it after an hour. */
struct e2e_session {
    struct uuid id, user_id, session_id; /* session_id "" once it was ended */
    struct str email, test_name;
    int64_t credits, created_us, expires_us;
};
/* test_name: letters, digits, - and _. */
MUST_CHECK bool e2e_start(struct req *req, struct str test_name, int64_t credits, struct e2e_session *out,
                          struct token_pair *pair, struct err *e);
/* 404 "e2e_session_not_found". */
MUST_CHECK bool e2e_find(struct req *req, struct str id, struct e2e_session *out, struct err *e);
/* An access token alone; 404 also when the session has ended or its hour is over. */
MUST_CHECK bool e2e_token(struct req *req, const struct e2e_session *s, struct token_pair *out, struct err *e);
/* 404; 409 "conflict" while an app's rows hold on to the user. */
MUST_CHECK bool e2e_end(struct req *req, struct str id, struct err *e);
MUST_CHECK bool e2e_count(struct req *req, int64_t *active, int64_t *expired, struct err *e);
enum { E2E_SWEEP_MAX = 100 };
struct e2e_swept {
    int64_t removed, left;
};
/* Those whose hour is over, at most E2E_SWEEP_MAX. */
MUST_CHECK bool e2e_sweep(struct req *req, struct e2e_swept *out, struct err *e);
bool e2e_sweep_job(struct job *job, struct err *e);

/* ---- administration ------------------------------------------------------------------------ */

struct user_change {
    struct str role, email, phone, password, password_hash, app_metadata, user_metadata; /* absent: kept */
    bool confirm_email, confirm_phone, set_ban;
    int64_t banned_until_us;
    const char *actor_kind;
};
/* Errors: 404 "user_not_found"; 422 "weak_password"; 500 "unexpected_failure" "Error updating user". */
MUST_CHECK bool user_admin_update(struct req *req, struct str id, const struct user_change *change, struct user *out,
                                  struct err *e);
MUST_CHECK bool user_admin_delete(struct req *req, struct str id, bool soft, const char *actor_kind, struct err *e);

struct user_page {
    struct user *users;
    size_t count;
    int64_t total;
};
MUST_CHECK bool user_admin_list(struct req *req, struct str filter, bool ascending, int64_t page, int64_t per_page,
                                struct user_page *out, struct err *e);

/* ---- in the background: handlers for jobs/, whose ctx is the struct services ----------------- */

/* Deletes what is over (spec auth.md §4.2), in small batches. */
MUST_CHECK bool housekeeping_run(struct job *j, struct err *e);
/* Of kind "mail": sends one of the outbox. */
MUST_CHECK bool postman_deliver(struct job *j, struct err *e);

/* ---- mails for the command line -------------------------------------------------------------- */

/* One of the outbox; what it said is gone (data absent) once it was sent. */
struct mail_row {
    struct str id, kind, state, recipient, last_error, created_at, data;
    int64_t attempts;
};
/* The newest first, at most `most`; recipient absent: everybody's. */
MUST_CHECK bool mailbox_list(struct req *req, struct str recipient, int64_t most,
                             struct mail_row **out, size_t *count, struct err *e);
/* e: 404 "mail_not_found". subject and html absent when what it said is gone. */
MUST_CHECK bool mailbox_show(struct req *req, struct str id, struct mail_row *out,
                             struct str *subject, struct str *html, struct err *e);
/* Sends it anew; e: 404 "mail_not_found", 409 "mail_over" when it was sent or has expired. */
MUST_CHECK bool mailbox_retry(struct req *req, struct str id, struct err *e);
/* A kind's mail from invented data, over which `data` (JSON object or absent) is laid. e: 404 "mail_kind_unknown". */
MUST_CHECK bool mailbox_preview(struct req *req, struct str kind, struct str data,
                                struct str *subject, struct str *html, struct err *e);

#endif
