/* SPDX-License-Identifier: Apache-2.0 */
#include "app/settings.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "base/url.h"
#include "http/smtp.h"

extern char **environ;

/* clang-format off */
static const struct config_row rows[] = {
#define X(member, type, fallback, min, max, choices, aliases, group, help) \
    {#member, CONFIG_##type, offsetof(struct settings, member), (fallback), (min), (max), (choices), (aliases), (group), (help)},
#include "app/config.def"
#undef X
};
/* clang-format on */

const struct config_table settings_table = {rows, sizeof(rows) / sizeof(rows[0]), "BASALT_"};

/* The row's key is the user's id, and email and password are read before the profile is. */
static bool profile_fields_ok(const struct settings *s, struct err *e)
{
    static const char *const never[] = {"id", "email", "password"};
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        if (str_list_has(str_from(s->profile_fields), str_from(never[i])))
            return err_set(e, 2, "config", "profile_fields must not list %s: leave it out",
                           never[i]);
    return true;
}

static bool consistent(const struct settings *s, struct err *e)
{
    if (!s->tls_cert != !s->tls_key)
        return err_set(e, 2, "config",
                       "tls_cert and tls_key belong together: only one of them is set");
    if (s->jwt_secret && strlen(s->jwt_secret) < 32)
        return err_set(e, 2, "config", "jwt_secret is too short: HS256 needs 32 bytes or more");
    if (s->e2e_secret && strlen(s->e2e_secret) < 32)
        return err_set(e, 2, "config", "e2e_secret is too short: it takes 32 bytes or more");
    if (s->allow_unverified && strcmp(s->mailer_autoconfirm, "true") == 0)
        return err_set(e, 2, "config",
                       "mailer_autoconfirm and allow_unverified exclude each other: unset one");
    if (s->smtp_url && s->smtp_host)
        return err_set(e, 2, "config", "smtp_url and smtp_host say the same: set one of them");
    if (s->smtp_admin_email && !strchr(s->smtp_admin_email, '@'))
        return err_set(e, 2, "config", "smtp_admin_email is no address: it is whom mails come from");
    if (s->smtp_headers && !(json_valid(str_from(s->smtp_headers), e) && s->smtp_headers[0] == '{'))
        return err_set(e, 2, "config", "smtp_headers is no JSON object");
    if (!profile_fields_ok(s, e))
        return false;
    if (s->db_listen && s->database_url)
        return err_set(e, 2, "config",
                       "db_listen is for the private PostgreSQL: leave it out with database_url");
    return true;
}

bool settings_load(int argc, char **argv, struct settings *out, const char **rest, int *rest_n,
                   struct err *e)
{
    struct settings s = {0};
    arena_init(&s.memory, SIZE_MAX);
    struct config_input in = {
        .argc = argc,
        .argv = argv,
        .env = environ,
        .file = "basalt.conf",
    };
    enum config_source sources[sizeof(rows) / sizeof(rows[0])];
    if (!config_load(&settings_table, &in, &s, sources, &s.memory, rest, rest_n, e)
        || !consistent(&s, e)) {
        arena_close(&s.memory);
        return false;
    }
    *out = s;
    return true;
}

void settings_close(struct settings *s)
{
    arena_close(&s->memory);
}

const char *settings_data_dir(struct settings *s)
{
    const char *dir = s->data ? s->data : geteuid() == 0 ? "/var/lib/basalt" : "./basalt-data";
    if (dir[0] == '/')
        return dir;
    char *cwd = getcwd(NULL, 0);
    if (!cwd) /* the working folder was removed: whoever uses the path says that it is none */
        return dir;
    struct str path =
        arena_printf(&s->memory, "%s/%s", cwd, strncmp(dir, "./", 2) == 0 ? dir + 2 : dir);
    free(cwd);
    return path.p;
}

static unsigned cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (unsigned)n : 1;
}

unsigned settings_pool_size(const struct settings *s)
{
    if (s->pool_size)
        return (unsigned)s->pool_size;
    return 2 * cores() > 8 ? 2 * cores() : 8;
}

/* Each loop owns four connections or more (architecture §1 "loops"). */
unsigned settings_loops(const struct settings *s)
{
    if (s->loops)
        return (unsigned)s->loops;
    unsigned by_pool = settings_pool_size(s) / 4;
    unsigned n = cores() < by_pool ? cores() : by_pool;
    return n > 0 ? n : 1;
}

unsigned settings_hash_threads(const struct settings *s)
{
    if (s->hash_threads)
        return (unsigned)s->hash_threads;
    return cores() > 1 ? cores() - 1 : 1;
}

bool settings_mails(const struct settings *s)
{
    return s->smtp_url || s->smtp_host || s->hook_send_email_enabled;
}

bool settings_smtp(struct settings *s, struct smtp_server *out, struct err *e)
{
    *out = (struct smtp_server){0};
    if (s->smtp_url) {
        struct err why = {0};
        return smtp_server_parse(str_from(s->smtp_url), &s->memory, out, &why)
               || err_set(e, 2, "config", "smtp_url: %s", why.message);
    }
    if (!s->smtp_host)
        return true;
    out->host = str_from(s->smtp_host);
    out->port = (int)s->smtp_port;
    out->tls = smtp_tls_for(out->host, out->port);
    out->user = str_from(s->smtp_user);
    out->password = str_from(s->smtp_pass);
    return true;
}

const char *settings_mail_from(struct settings *s, const char *site_url)
{
    struct url_parts u;
    if (s->smtp_admin_email)
        return s->smtp_admin_email;
    bool named =
        url_parse(str_from(site_url), &u) && u.host.n > 0
        && ((u.host.p[u.host.n - 1] | 0x20) >= 'a' && (u.host.p[u.host.n - 1] | 0x20) <= 'z');
    return named ? arena_printf(&s->memory, "noreply@%.*s", STR_ARG(u.host)).p
                 : "noreply@localhost"; /* an IP address is no domain */
}

bool settings_autoconfirm(const struct settings *s)
{
    if (strcmp(s->mailer_autoconfirm, "auto") == 0)
        return !settings_mails(s) && !s->allow_unverified;
    return strcmp(s->mailer_autoconfirm, "true") == 0;
}

enum password_blocklist settings_password_blocklist(const struct settings *s)
{
    return strcmp(s->password_blocklist, "refuse") == 0 ? PASSWORD_BLOCKLIST_REFUSE
           : strcmp(s->password_blocklist, "off") == 0  ? PASSWORD_BLOCKLIST_OFF
                                                        : PASSWORD_BLOCKLIST_REPORT;
}

static struct str listen_host(const struct settings *s)
{
    struct str all = str_from(s->listen);
    size_t colon = all.n;
    while (colon > 0 && all.p[colon - 1] != ':')
        colon--;
    return str_of(all.p, colon > 0 ? colon - 1 : all.n);
}

bool settings_listens_on_loopback(const struct settings *s)
{
    struct str host = listen_host(s);
    return str_starts(host, S("127.")) || str_is(host, "localhost") || str_is(host, "[::1]");
}

const char *settings_api_url(struct settings *s, int port)
{
    if (s->api_url)
        return s->api_url;
    struct str host = listen_host(s);
    if (str_is(host, "0.0.0.0") || str_is(host, "[::]") || host.n == 0)
        host = S("127.0.0.1"); /* an address that this machine's own clients can use */
    return arena_printf(&s->memory, "%s://%.*s:%d", s->tls_cert ? "https" : "http", STR_ARG(host),
                        port)
        .p;
}

const char *settings_cors_origins(struct settings *s, const char *api_url)
{
    if (s->cors_origins)
        return s->cors_origins;
    if (settings_listens_on_loopback(s))
        return "*";
    return s->site_url ? s->site_url : api_url;
}
