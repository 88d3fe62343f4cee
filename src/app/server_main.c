/* SPDX-License-Identifier: Apache-2.0 */
#include "app/server_main.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "account/account.h"
#include "app/admin_port.h"
#include "app/audit_start.h"
#include "app/background.h"
#include "app/data_folder.h"
#include "app/invalidation.h"
#include "app/keyring.h"
#include "app/pipeline.h"
#include "app/rekey.h"
#include "app/routes.h"
#include "app/run_state.h"
#include "auth/auth.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"
#include "guard/access.h"
#include "guard/context.h"
#include "guard/emergency.h"
#include "guard/quota.h"
#include "http/client.h"
#include "http/smtp.h"
#include "http/tls.h"
#include "ops/breaker.h"
#include "ops/metrics.h"
#include "ops/vitals.h"
#include "pg/pg_notify.h"
#include "runtime/file.h"
#include "runtime/loop.h"
#include "runtime/offload.h"
#include "runtime/process.h"
#include "runtime/signal.h"
#include "runtime/sock.h"

enum {
    ARENA_BUDGET = 32 * 1024 * 1024, /* client-sized memory of one request */
    BODY_MIN_RATE_BPS = 500,
    CLOSE_MS = 2000,
    ADMIN_CONNECTIONS = 256,
    FILES_SPARE = 256, /* descriptors of loops, listeners, logs, files under way */
};

struct running {
    struct settings *settings;
    const char *dir;
    int lock_fd;
    int64_t started_us;
    struct tls *tls;
    struct server *api, *admin;
    struct secrets secrets;
    struct database db;
    struct services services;
    struct pipeline pipeline;
    const char *api_url, *admin_url;
    unsigned max_connections;
    unsigned draining; /* servers that are not done yet */
    bool opened_db, stopping;
};

/* ---- services ------------------------------------------------------------------------------ */

static struct str text(const char *s)
{
    return str_from(s);
}

static bool open_guard(struct settings *s, const struct secrets *k, struct guard **out,
                       struct err *e)
{
    struct guard_config c = {
        .admin_roles = text(s->jwt_admin_roles),
        .issuer = text(s->jwt_issuer),
        .key_required = s->api_key_required,
        .cache_entries = (size_t)s->cache_entries,
    };
    return keyring_set(s, k, &s->memory, &c.keys, e) && guard_open(&c, out, e);
}

/* The settings that each kind of mail has. */
static void mails_set(const struct settings *s, struct auth_config *c)
{
#define MAIL(id, name, path, subject)                        \
    c->mail_subjects[MAIL_##id] = s->mailer_subjects_##name; \
    c->mail_templates[MAIL_##id] = s->mailer_templates_##name;
#define NOTICE(id, name, subject)                               \
    MAIL(id##_NOTIFICATION, name##_notification, none, subject) \
    c->mailer_notifications |= (unsigned)s->mailer_notifications_##name##_enabled << MAIL_##id##_NOTIFICATION;
#include "auth/mail.def"
}

/* Enabled without an address: an empty one, which is refused by name. */
static struct hook_config hook(bool enabled, const char *uri, const char *secrets)
{
    return (struct hook_config){.uri = text(enabled && !uri ? "" : enabled ? uri : NULL),
                                .secrets = text(secrets)};
}

static void sessions_set(const struct settings *s, struct auth_config *c)
{
    c->refresh_reuse_us = s->refresh_reuse_interval * CLOCK_S;
    c->refresh_rotation = s->refresh_rotation;
    c->refresh_reuse_allowed = s->refresh_allow_reuse;
    c->refresh_counted = s->refresh_token_version == 2;
    c->refresh_upgrade = s->refresh_token_version == 2 ? s->refresh_token_upgrade : 0;
    c->session_low_aal_us = s->session_low_aal;
    c->session_single = s->session_single_per_user;
    c->session_tags = text(s->session_tags);
    c->session_timebox_us = s->session_timebox;
    c->session_inactivity_us = s->session_inactivity;
}

static const char *captcha_url(const struct settings *s)
{
    if (s->captcha_verify_url)
        return s->captcha_verify_url;
    return strcmp(s->captcha_provider, "turnstile") == 0
               ? "https://challenges.cloudflare.com/turnstile/v0/siteverify"
               : "https://api.hcaptcha.com/siteverify";
}

static bool open_auth(struct settings *s, const char *api_url, const struct secrets *k,
                      const struct database *db, struct services *v, struct err *e)
{
    struct auth_config c = {
        .guard = v->guard,
        .api_url = text(api_url),
        .site_url = text(s->site_url ? s->site_url : api_url),
        .audience = text(s->jwt_aud),
        .default_role = text(s->jwt_default_role),
        .issuer = text(s->jwt_issuer),
        .token_life_us = s->jwt_exp * CLOCK_S,
        .signup_enabled = !s->disable_signup,
        .email_enabled = s->email_enabled,
        .anonymous_enabled = s->anonymous_users,
        .manual_linking = s->manual_linking,
        .autoconfirm = settings_autoconfirm(s),
        .unverified_may_login = s->allow_unverified,
        .password_min = s->password_min_length,
        .uri_allow_list = text(s->uri_allow_list),
        .magic_link_enabled = s->magic_link_enabled,
        .secure_email_change = s->secure_email_change,
        .enumeration_strict = strcmp(s->enumeration_protection, "strict") == 0,
        .link_page = strcmp(s->mail_link_confirm, "page") == 0,
        .otp_life_us = s->otp_exp * CLOCK_S,
        .otp_length = s->otp_length >= 6 && s->otp_length <= 10 ? s->otp_length : 6,
        .one_time_secret = text(k->jwt_secret),
        .mail_frequency_us = s->smtp_max_frequency,
        .flow_life_us = s->flow_state_expiry > 300 * CLOCK_S ? s->flow_state_expiry : 300 * CLOCK_S,
        .password_characters = text(s->password_required_characters),
        .password_blocklist = settings_password_blocklist(s),
        .pwned_enabled = s->password_hibp_enabled,
        .pwned_fail_closed = s->password_hibp_fail_closed,
        .pwned_url = text(s->password_hibp_url),
        .pwned_user_agent = text(s->password_hibp_user_agent),
        .password_needs_nonce = s->password_reauthentication,
        .password_needs_current = s->password_require_current,
        .hash_threads = settings_hash_threads(s),
        .profile_table = db->profile_table,
        .profile_fields = text(s->profile_fields),
        .profile_roles = text(s->profile_roles),
        .cache_entries = (size_t)s->cache_entries,
        .google_enabled = s->google_enabled,
        .google_skip_nonce = s->google_skip_nonce_check,
        .google_client_ids = text(s->google_client_id),
        .google_keys_url = text(s->google_keys_url),
        .id_token_issuers = text(s->id_token_issuers),
        .hooks = {
#define HOOK(id, name) [HOOK_##id] = hook(s->hook_##name##_enabled, s->hook_##name##_uri, s->hook_##name##_secrets)
            HOOK(CUSTOM_ACCESS_TOKEN, custom_access_token),
            HOOK(SEND_EMAIL, send_email),
            HOOK(SEND_SMS, send_sms),
            HOOK(PASSWORD_VERIFICATION, password_verification_attempt),
            HOOK(MFA_VERIFICATION, mfa_verification_attempt),
            HOOK(BEFORE_USER_CREATED, before_user_created),
            HOOK(AFTER_USER_CREATED, after_user_created),
#undef HOOK
        },
        .captcha = {.secret = text(s->captcha_enabled ? s->captcha_secret : NULL),
                    .url = text(captcha_url(s)),
                    .timeout_us = s->captcha_timeout},
        .mailer_paths = {[MAIL_PATH_confirmation] = text(s->mailer_urlpaths_confirmation),
                         [MAIL_PATH_recovery] = text(s->mailer_urlpaths_recovery),
                         [MAIL_PATH_invite] = text(s->mailer_urlpaths_invite),
                         [MAIL_PATH_email_change] = text(s->mailer_urlpaths_email_change)},
        .mail_kept_us = s->mail_retention,
        .anonymous_kept_us = s->anonymous_users ? s->anonymous_retention : 0,
        .mailer_external_hosts = text(s->mailer_external_hosts),
        .mailer_authorized = text(s->mailer_authorized_addresses),
        .mail_folder = s->mail_templates,
        .mail_from_name = text(s->smtp_sender_name),
        .mail_headers = text(s->smtp_headers),
    };
    c.mail_from = text(settings_mail_from(s, c.site_url.p));
    mails_set(s, &c);
    sessions_set(s, &c);
    if (s->captcha_enabled && !s->captcha_secret)
        return err_set(e, 2, "captcha_secret",
                       "captcha_enabled needs captcha_secret, the secret key from the provider");
    return settings_smtp(s, &c.smtp, e) && auth_open(&c, &v->auth, e);
}

/* What a setting is when nobody sets it. */
static const struct {
#define X(member, type, fallback, min, max, choices, aliases, group, help) const char *member;
#include "app/config.def"
#undef X
} fallbacks = {
#define X(member, type, fallback, min, max, choices, aliases, group, help) .member = (fallback),
#include "app/config.def"
#undef X
};

static bool open_quota(const struct settings *s, const struct secrets *k, struct quota **out,
                       struct err *e)
{
    struct quota_config c = {
        .enabled = strcmp(s->rate_limits, "on") == 0,
        .limits = {
#define X(id, setting, period_s, by, kind, help) [QUOTA_##id] = s->setting,
#include "guard/quota.def"
#undef X
        },
        .usual = {
#define X(id, setting, period_s, by, kind, help) \
    [QUOTA_##id] = s->setting && strcmp(s->setting, fallbacks.setting) == 0,
#include "guard/quota.def"
#undef X
        },
        .header = text(s->rate_limit_header),
        .mail_confirms = !settings_autoconfirm(s),
        .delay_max_us = s->lockout_max,
        .entries = (size_t)s->rate_limit_entries,
        .redis_url = s->redis_url,
        .secret = text(k->jwt_secret),
    };
    return quota_open(&c, out, e);
}

static bool open_context(const struct settings *s, struct context **out, struct err *e)
{
    const char *binding = s->session_binding;
    struct context_config c = {
        .blocked = s->blocked_addresses,
        .service = s->service_addresses,
        .bind_address = strcmp(binding, "address") == 0 || strcmp(binding, "both") == 0,
        .bind_agent = strcmp(binding, "agent") == 0 || strcmp(binding, "both") == 0,
    };
    return context_open(&c, out, e);
}

static struct account *open_account(struct settings *s)
{
    struct account *a = arena_new(&s->memory, struct account, 1);
    *a = (struct account){.e2e_testing = s->e2e_testing, .e2e_secret = text(s->e2e_secret)};
    return a;
}

bool server_main_services(struct settings *s, const char *api_url, const struct secrets *secrets,
                          const struct database *db, struct services *out, struct err *e)
{
    struct services v = {0};
    client_trust(s->ca_file ? s->ca_file : "");
    emergency_set(db->emergency);
    access_set(db->roles);
    if (open_quota(s, secrets, &v.quota, e) && open_context(s, &v.context, e)
        && open_guard(s, secrets, &v.guard, e) && open_auth(s, api_url, secrets, db, &v, e)) {
        v.account = open_account(s);
        *out = v;
        return true;
    }
    server_main_services_close(&v);
    return false;
}

void server_main_services_close(struct services *v)
{
    auth_close(v->auth);
    guard_close(v->guard);
    context_close(v->context);
    quota_close(v->quota);
    *v = (struct services){0};
}

bool server_main_pool(struct settings *s, const struct database *db, unsigned size, unsigned loops,
                      struct err *e)
{
    struct pg_pool_config c = {
        .size = size,
        .loops = loops,
        .connect_timeout_us = 5 * CLOCK_S,
        .statement_timeout_us = s->request_timeout,
        .reconnect_min_us = 100 * CLOCK_MS,
        .reconnect_max_us = 5 * CLOCK_S,
        .prepare = true,
    };
    memcpy(c.conninfo, db->login, sizeof(c.conninfo));
    memcpy(c.set_role, db->set_role, sizeof(c.set_role));
    return pg_pool_open_all(&c, e);
}

/* ---- ground: folder, user, ports ------------------------------------------------------------ */

static bool folder_prepare(struct running *r, struct process_user *u, struct err *e)
{
    const char *user = r->settings->user;
    return (geteuid() != 0 || process_user_ensure(user, u, e))
           && data_folder_make(r->dir, user, u, e);
}

static bool open_listener(struct running *r, const char *listen, const char *setting, bool admin,
                          struct server **out, struct err *e)
{
    struct settings *s = r->settings;
    struct server_config c = {
        .listen = listen,
        .setting = setting,
        .tls = admin ? NULL : r->tls,
        .admin = admin,
        .max_connections = admin ? ADMIN_CONNECTIONS : r->max_connections,
        .head_timeout_us = 10 * CLOCK_S,
        .idle_timeout_us = 75 * CLOCK_S,
        .body_min_rate_bps = BODY_MIN_RATE_BPS,
        .drain_us = 30 * CLOCK_S,
        .drain_idle_us = 2 * CLOCK_S,
        .trusted_proxies = s->trusted_proxies,
        .arena_budget_bytes = ARENA_BUDGET,
        .handle = pipeline_handle,
        .finished = pipeline_finished,
        .ctx = &r->pipeline,
    };
    return server_open(&c, out, e);
}

static bool ports_bind(struct running *r, struct err *e)
{
    struct settings *s = r->settings;
    if (s->tls_cert && !tls_open(s->tls_cert, s->tls_key, &r->tls, e))
        return false;
    if (!open_listener(r, s->listen, "listen", false, &r->api, e))
        return false;
    r->api_url = settings_api_url(s, server_addr(r->api).port);
    if (!s->admin_listen || strcmp(s->admin_listen, "off") == 0)
        return true;
    if (!open_listener(r, s->admin_listen, "admin_listen", true, &r->admin, e))
        return false;
    struct sock_addr at = server_addr(r->admin);
    r->admin_url = arena_printf(&s->memory, "http://%s:%d", at.ip, at.port).p;
    return true;
}

/* Read by root at the start; the next certificate, at SIGHUP, by the server's user. */
static void warn_of_key(const struct settings *s)
{
    if (s->tls_key && access(s->tls_key, R_OK) != 0)
        log_say(LOG_WARN, "tls.key_unreadable",
                "user %s cannot read %s: SIGHUP will not load a new certificate, a restart will",
                s->user, s->tls_key);
}

/* App migrations that root can see and the server's user cannot would be skipped in silence. */
static bool become(struct running *r, const struct process_user *u, struct err *e)
{
    if (geteuid() != 0)
        return process_seal(e);
    const char *app = r->settings->app_migrations;
    bool there = access(app, F_OK) == 0;
    if (!process_become(u, e))
        return false;
    warn_of_key(r->settings);
    if (there && access(app, R_OK | X_OK) != 0)
        return err_set(e, 1, "app_migrations",
                       "user %.40s cannot read %.80s: make the folder readable", r->settings->user,
                       app);
    return true;
}

/* While we may still raise the limit; a client too many waits in the kernel, not for a descriptor. */
static void files_prepare(struct running *r)
{
    struct settings *s = r->settings;
    unsigned pool = settings_pool_size(s); /* each connection may have its cancel's beside it */
    unsigned spare = FILES_SPARE + ADMIN_CONNECTIONS + 2 * pool;
    unsigned wanted = (unsigned)s->max_connections + spare, limit = process_files_raise(wanted);
    r->max_connections = (unsigned)s->max_connections;
    if (limit >= wanted)
        return;
    r->max_connections = limit > 2 * spare ? limit - spare : limit / 2;
    log_say(LOG_WARN, "files_limit",
            "max_connections is %u instead of %u: the system allows %u open files (ulimit -n)",
            r->max_connections, (unsigned)s->max_connections, limit);
}

static bool ground(struct running *r, struct err *e)
{
    struct process_user u = {0};
    files_prepare(r);
    return folder_prepare(r, &u, e) && loop_create_all(settings_loops(r->settings), e)
           && ports_bind(r, e) && become(r, &u, e) && data_folder_lock(r->dir, &r->lock_fd, e);
}

/* ---- a stop before we run ------------------------------------------------------------------- */

static volatile sig_atomic_t stop_asked;

static void note_stop(int signo)
{
    (void)signo;
    stop_asked = 1;
}

/*
 * Heard at the next step, so that no cluster stays behind; asked again, the process ends at once.
 * What SIGHUP would read again is being read.
 */
static void signals_early(void)
{
    struct sigaction note = {.sa_handler = note_stop, .sa_flags = SA_RESTART | SA_RESETHAND};
    sigaction(SIGTERM, &note, NULL);
    sigaction(SIGINT, &note, NULL);
    signal(SIGHUP, SIG_IGN);
}

static bool still_wanted(struct err *e)
{
    return !stop_asked || err_set(e, 503, "stopped", "stopped while starting");
}

/* ---- database and services ------------------------------------------------------------------ */

static bool data(struct running *r, struct err *e)
{
    struct settings *s = r->settings;
    if (!still_wanted(e) || !secrets_load(s, r->dir, &r->secrets, e)
        || !database_open(s, r->dir, &r->secrets, &r->db, e))
        return false;
    r->opened_db = true;
    return still_wanted(e) && database_prepare(s, r->dir, s->migrate, &r->secrets, &r->db, e)
           && server_main_pool(s, &r->db, settings_pool_size(s), loop_count(), e)
           && invalidation_open(r->db.direct, e) && still_wanted(e);
}

static bool pipeline_open(struct running *r, struct err *e)
{
    struct settings *s = r->settings;
    const char *origins = settings_cors_origins(s, r->api_url);
    pipeline_prepare();
    r->pipeline = (struct pipeline){
        .services = &r->services,
        .routes = routes_build(),
        .timeout_us = s->request_timeout,
        .slow_us = s->slow_request,
        .log_requests = s->log_requests,
    };
    return cors_open(text(origins), text(s->cors_headers), &r->pipeline.cors, e);
}

static int64_t hash_gauge(void *ctx)
{
    struct offload_stats st = auth_hash_stats(((struct running *)ctx)->services.auth);
    return st.queued;
}

static int64_t hash_busy_gauge(void *ctx)
{
    struct offload_stats st = auth_hash_stats(((struct running *)ctx)->services.auth);
    return st.busy;
}

static int64_t connections_gauge(void *ctx)
{
    return server_stats(((struct running *)ctx)->api).connections;
}

static int64_t in_flight_gauge(void *ctx)
{
    return server_stats(((struct running *)ctx)->api).in_flight;
}

static int64_t heartbeat_gauge(void *ctx)
{
    (void)ctx;
    return clock_mono_us() - pg_notify_heard_us();
}

static int64_t emergency_gauge(void *ctx)
{
    (void)ctx;
    return emergency_now();
}

static void gauges(struct running *r)
{
    vitals_register();
    breaker_register();
    metrics_gauge_fn(METRIC_http_connections, 0, connections_gauge, r);
    metrics_gauge_fn(METRIC_http_in_flight, 0, in_flight_gauge, r);
    metrics_gauge_fn(METRIC_listener_heartbeat_age, 0, heartbeat_gauge, r);
    metrics_gauge_fn(METRIC_emergency_mode, 0, emergency_gauge, NULL);
    metrics_gauge_fn(METRIC_hash_queue, 0, hash_gauge, r);
    metrics_gauge_fn(METRIC_hash_busy, 0, hash_busy_gauge, r);
}

/* ---- running and stopping -------------------------------------------------------------------- */

/* Handles are closed on their loop, so that the loops have nothing left to wait for. */
static void leave(struct running *r)
{
    if (r->db.cluster)
        cluster_unwatch(r->db.cluster);
    pg_pool_close_all(CLOSE_MS);
    invalidation_close();
    rekey_stop();
    loop_stop_all();
}

static void on_drained(void *ctx)
{
    struct running *r = ctx;
    if (--r->draining == 0)
        leave(r);
}

static void on_stop(void *ctx)
{
    struct running *r = ctx;
    if (r->stopping) /* asked twice: whoever asks does not want to wait */
        leave(r);
    if (r->stopping)
        return;
    r->stopping = true;
    log_say(LOG_INFO, "stopping", "finishing what was read, then stopping");
    admin_port_draining();
    r->draining = r->admin ? 3 : 2;
    background_stop(on_drained, r);
    server_drain(r->api, on_drained, r);
    if (r->admin)
        server_drain(r->admin, on_drained, r);
}

static void on_reload(void *ctx)
{
    struct running *r = ctx;
    struct err e = {0};
    if (!r->tls)
        return;
    if (tls_reload(r->tls, &e))
        log_say(LOG_INFO, "tls.reloaded", "certificates were read again");
    else
        log_say(LOG_ERROR, "tls.reload_failed", "%s: the former certificate stays", e.message);
}

static void on_cluster_down(void *ctx)
{
    (void)ctx;
    log_say(LOG_ERROR, "cluster.down", "PostgreSQL ended unexpectedly; it is being restarted");
}

static void on_cluster_up(void *ctx)
{
    (void)ctx;
    log_say(LOG_INFO, "cluster.up", "PostgreSQL is back");
    pg_pool_reset();
}

static void say_keys(const struct running *r)
{
    printf("  API URL          %s\n", r->api_url);
    if (r->admin_url)
        printf("  Admin URL        %s  (metrics, health)\n", r->admin_url);
    printf("  Publishable key  %s\n", r->secrets.publishable_key);
    printf("  Secret key       %s\n", r->secrets.secret_key);
    printf("  anon key         %s\n", r->secrets.anon_key);
    printf("  service key      %s\n", r->secrets.service_role_key);
    printf("  Database URL     %s\n", r->db.url);
}

static void say_ready(const struct running *r)
{
    if (r->settings->print_keys)
        say_keys(r);
    else
        printf("  keys and database URL: basalt status --data %s\n", r->dir);
    if (settings_autoconfirm(r->settings) && !settings_mails(r->settings))
        printf("  e-mail addresses are confirmed at once, since no SMTP server is set\n");
    else if (!settings_mails(r->settings))
        printf("  mails wait, since no SMTP server is set: basalt mail list\n");
    if (r->settings->e2e_testing)
        printf("  tests may make users at /api/v1/e2e: not for production\n");
    printf("ready %s in %lld ms (basalt %s)\n", r->api_url,
           (long long)(clock_mono_us() - r->started_us) / 1000, BASALT_VERSION);
    fflush(stdout);
}

static bool launch(struct running *r, struct err *e)
{
    struct run_state state = {
        .pid = getpid(),
        .api_url = r->api_url,
        .admin_url = r->admin_url,
        .db_url = r->db.url,
    };
    gauges(r);
    signal_handle(SIGTERM, on_stop, r);
    signal_handle(SIGINT, on_stop, r);
    signal_handle(SIGHUP, on_reload, r);
    if (stop_asked)
        raise(SIGTERM);
    if (r->db.cluster)
        cluster_watch(r->db.cluster, on_cluster_down, on_cluster_up, r);
    invalidation_start();
    rekey_start();
    background_start(r->settings, &r->services);
    server_start(r->api);
    if (r->admin)
        server_start(r->admin);
    return run_state_write(r->dir, &state, e);
}

/* What start made, as far as it came. */
static void release(struct running *r)
{
    server_close(r->api);
    server_close(r->admin);
    smtp_close();
    rekey_close();
    server_main_services_close(&r->services);
    route_table_free(r->pipeline.routes);
    cors_close(r->pipeline.cors);
    tls_close(r->tls);
}

static void finish(struct running *r)
{
    pg_pool_close_all(CLOSE_MS);
    invalidation_close();
    release(r);
    audit_start_close();
    run_state_remove(r->dir);
    file_pool_close();
    database_close(&r->db, false);
    secrets_close(&r->secrets);
}

static void log_start(const struct settings *s)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    enum log_level level = LOG_INFO;
    for (unsigned i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        if (strcmp(s->log_level, levels[i]) == 0)
            level = (enum log_level)i;
    bool json = strcmp(s->log_format, "json") == 0
                || (strcmp(s->log_format, "auto") == 0 && !isatty(STDERR_FILENO));
    log_open(STDERR_FILENO, level, json ? LOG_JSON : LOG_TEXT);
}

static bool start(struct running *r, struct err *e)
{
    return ground(r, e) && data(r, e)
           && server_main_services(r->settings, r->api_url, &r->secrets, &r->db, &r->services, e)
           && rekey_open(r->settings, &r->secrets, &r->db, r->services.guard, e)
           && pipeline_open(r, e) && file_pool_open(e)
           && audit_start_open(r->settings, r->dir, &r->db, e) && launch(r, e);
}

static int start_failed(struct running *r, const struct err *e)
{
    struct log_line l;
    log_begin(&l, stop_asked ? LOG_INFO : LOG_ERROR, stop_asked ? "stopped" : "start_failed");
    log_err(&l, e);
    log_end(&l);
    audit_start_close();
    log_close(CLOSE_MS);
    fprintf(stderr, "basalt: %s\n", e->message);
    if (e->detail[0])
        fprintf(stderr, "        %s\n", e->detail);
    if (r->opened_db)
        database_close(&r->db, false);
    release(r);
    secrets_close(&r->secrets);
    return stop_asked ? 0 : e->status == 2 ? 2 : 1;
}

int server_main_run(struct settings *s)
{
    struct running r = {
        .settings = s, .dir = settings_data_dir(s), .lock_fd = -1, .started_us = clock_mono_us()};
    struct err e = {0};
    log_start(s);
    signals_early();
    if (!start(&r, &e))
        return start_failed(&r, &e);
    say_ready(&r);
    loop_run_all();
    finish(&r);
    log_say(LOG_INFO, "stopped", "goodbye");
    log_close(CLOSE_MS);
    return 0;
}
