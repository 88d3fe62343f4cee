/* SPDX-License-Identifier: Apache-2.0 */
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "app/data_folder.h"
#include "app/run_state.h"
#include "cli/command.h"
#include "cli/connect.h"
#include "ops/limitshare.h"
#include "http/smtp.h"

/* What is looked at, and the findings so far. */
struct doctor {
    struct settings *settings;
    const char *dir;
    bool running;
    struct run_state state;
    struct pg_now *db; /* NULL: no database could be asked */
    unsigned bad, warned;
};

static void good(const char *what)
{
    printf("ok    %s\n", what);
}

static void warn(struct doctor *d, const char *what, const char *mend)
{
    printf("warn  %s: %s\n", what, mend);
    d->warned++;
}

static void bad(struct doctor *d, const char *what, const char *mend)
{
    printf("MEND  %s: %s\n", what, mend);
    d->bad++;
}

static void check_binaries(struct doctor *d)
{
    const char *bin;
    struct err e = {0};
    if (d->settings->database_url)
        return;
    if (cluster_find_bin(d->settings->pg_bin, d->dir, &d->settings->memory, &bin, &e))
        printf("ok    PostgreSQL programs are in %s\n", bin);
    else
        bad(d, "the private PostgreSQL cannot run", e.message);
}

/* Root's own commands reach every folder, the server's user may not. */
static void check_folder(struct doctor *d)
{
    struct err e = {0};
    struct process_user u = {0};
    struct passwd *entry = getpwnam(d->settings->user);
    if (geteuid() == 0 && !entry) /* made at the first start */
        return;
    if (geteuid() == 0)
        u = (struct process_user){entry->pw_uid, entry->pw_gid};
    if (!data_folder_check(d->dir, d->settings->user, &u, &e))
        bad(d, "the server cannot use its data folder", e.message);
}

static void check_server(struct doctor *d)
{
    struct err e = {0};
    d->running = run_state_read(d->dir, &d->settings->memory, &d->state, &e);
    if (d->running)
        printf("ok    a server runs at %s\n", d->state.api_url);
    else
        warn(d, "no server is running", "start one with `basalt serve`");
}

static void check_database(struct doctor *d)
{
    struct err e = {0};
    const char *url = d->settings->database_url ? d->settings->database_url
                      : d->running              ? d->state.db_url
                                                : NULL;
    if (!url)
        return;
    if (pg_now_open(url, 5000, &d->db, &e))
        printf("ok    PostgreSQL %d answers\n", pg_now_server_version(d->db) / 10000);
    else
        bad(d, "the database cannot be reached", e.message);
}

struct question {
    const char *sql; /* true: all is well */
    const char *what, *mend;
    bool serious;
};

static const struct question questions[] = {
    {"select exists (select from basalt.migrations)", "the database is not migrated",
     "run `basalt migrate`", true},
    {"select current_setting('server_version_num')::int between 140000 and 189999",
     "this PostgreSQL is not supported", "use version 14 to 18", true},
    {"select exists (select from basalt.setting where name = 'logins')",
     "accounts, requests and storage share one database login",
     "use the private PostgreSQL, or a database whose logins `basalt migrate` has made", false},
    {"select coalesce((select rolbypassrls from pg_roles where rolname = 'service_role'), false)",
     "service_role does not pass row level security",
     "as superuser: alter role service_role bypassrls", true},
    {"select not exists (select from pg_roles where rolname = 'authenticator' and (rolsuper or rolbypassrls))",
     "authenticator passes row level security",
     "as superuser: alter role authenticator nosuperuser nobypassrls", true},
    {"select not exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace"
     " where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relrowsecurity)",
     "tables in public have no row level security",
     "alter table … enable row level security, then add policies", false},
    {"select current_setting('fsync') = 'on' and current_setting('synchronous_commit') <> 'off'",
     "the database may forget what it acknowledged", "set fsync and synchronous_commit to on",
     true},
    {"select not exists (select from basalt.job_state where dead_at > now() - interval '7 days')",
     "background jobs were given up in the last week",
     "basalt.job_state says why: mend the cause, then delete them", false},
    {"select not exists (select from basalt.mail_state where state = 'waiting'"
     " and created_at < now() - interval '10 minutes')",
     "mails have been waiting for more than ten minutes",
     "`basalt mail list` says why; they wait for ever when neither smtp_url nor smtp_host is set",
     false},
};

static void ask(struct doctor *d, const struct question *q)
{
    struct pg_result *r = NULL;
    struct err e = {0};
    bool ok = pg_now_query(d->db, q->sql, NULL, 0, &r, &e);
    bool well = ok && pg_row_count(r) == 1 && pg_row_bool(r, 0, 0);
    pg_now_free(&r);
    if (well)
        return;
    (q->serious ? bad : warn)(d, q->what, ok ? q->mend : e.message);
}

static void check_mail(struct doctor *d)
{
    struct settings *s = d->settings;
    struct smtp_server server;
    struct err e = {0};
    if (!settings_smtp(s, &server, &e))
        bad(d, "the mail server cannot be used", e.message);
    else if (!settings_mails(s) && !settings_listens_on_loopback(s))
        warn(d, "no mail can be sent", "set smtp_url, or smtp_host and its companions");
    else if (server.host.p && !s->smtp_admin_email)
        warn(d, "mails come from an address that was guessed", "set smtp_admin_email");
}

static void check_redis(struct doctor *d)
{
    struct err e = {0};
    const char *url = d->settings->redis_url;
    if (!url || strcmp(d->settings->rate_limits, "off") == 0)
        return;
    if (limitshare_probe(url, &e))
        good("limits are shared through Redis");
    else if (e.status == 2)
        bad(d, "redis_url cannot be used", e.message);
    else
        warn(d, "each node counts limits alone, since Redis cannot be used", e.message);
}

static void check_exposure(struct doctor *d)
{
    struct settings *s = d->settings;
    if (settings_listens_on_loopback(s))
        return;
    if (!s->tls_cert && !s->trusted_proxies)
        warn(d, "the API listens beyond this machine without TLS",
             "set tls_cert and tls_key, or trusted_proxies when a proxy does TLS");
    if (s->cors_origins && strcmp(s->cors_origins, "*") == 0)
        warn(d, "any web page may call the API", "set cors_origins to the app's own");
    if (settings_autoconfirm(s))
        warn(d, "e-mail addresses are confirmed without a mail",
             "set smtp_url, or mailer_autoconfirm=false");
    if (strcmp(s->rate_limits, "off") == 0)
        warn(d, "nothing limits how often passwords and codes are tried", "set rate_limits=on");
    else if (strcmp(s->lockout, "off") == 0 && strcmp(s->lockout_account, "off") == 0)
        warn(d, "nobody waits after wrong passwords", "set lockout and lockout_account");
    if (s->rate_limit_header && !s->trusted_proxies)
        warn(d, "clients that reach the API without the proxy choose by whom they are counted",
             "set trusted_proxies instead of rate_limit_header");
    if (s->e2e_testing)
        bad(d, "users for tests can be made at a public address", "set e2e_testing=false");
    if (!s->api_key_required)
        warn(d, "no API key is asked for", "set api_key_required=true");
    if (s->password_min_length < 8)
        warn(d, "passwords may be shorter than 8", "set password_min_length=8");
    if (settings_password_blocklist(s) != PASSWORD_BLOCKLIST_REFUSE)
        warn(d, "the most common passwords may be set", "set password_blocklist=refuse");
    if (strcmp(s->enumeration_protection, "strict") != 0)
        warn(d, "refusals of mails tell who has an account", "set enumeration_protection=strict");
    if (strcmp(s->mail_link_confirm, "page") != 0)
        warn(d, "a mail scanner that opens links spends them", "set mail_link_confirm=page");
}

int doctor_command(struct settings *s, const char **args, int n)
{
    (void)args;
    if (n > 0)
        return command_misused("doctor", "it takes settings only");
    struct doctor d = {.settings = s, .dir = settings_data_dir(s)};
    check_folder(&d);
    check_binaries(&d);
    check_server(&d);
    check_database(&d);
    for (size_t i = 0; d.db && i < sizeof(questions) / sizeof(questions[0]); i++)
        ask(&d, &questions[i]);
    check_mail(&d);
    check_redis(&d);
    check_exposure(&d);
    pg_now_close(&d.db);
    if (d.bad + d.warned == 0)
        good("nothing to mend");
    return d.bad > 0;
}
