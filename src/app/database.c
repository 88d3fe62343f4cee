/* SPDX-License-Identifier: Apache-2.0 */
#include "app/database.h"

#include "base/log.h"
#include "base/url.h"
#include "crypto/scram.h"

enum { CONNECT_MS = 5000, CLUSTER_STOP_MS = 20000, SPARE_CONNECTIONS = 50 };

struct login_row {
    const char *role;
    size_t password;     /* offset in struct secrets */
    enum pg_login login; /* PG_LOGIN_NONE: not one of the pool's */
};

static const struct login_row logins[] = {
    {"postgres", offsetof(struct secrets, db_postgres), PG_LOGIN_NONE},
    {"authenticator", offsetof(struct secrets, db_authenticator), PG_LOGIN_AUTHENTICATOR},
    {"supabase_auth_admin", offsetof(struct secrets, db_auth), PG_LOGIN_AUTH},
    {"supabase_storage_admin", offsetof(struct secrets, db_storage), PG_LOGIN_STORAGE},
};

enum { LOGINS = sizeof(logins) / sizeof(logins[0]) };

static struct str password_of(const struct secrets *s, const struct login_row *row)
{
    return str_from(*(const char *const *)(const void *)((const char *)s + row->password));
}

/* ---- where it is -------------------------------------------------------------------------- */

static bool reachable(const char *conninfo, struct err *e)
{
    CLEANUP(pg_now_close) struct pg_now *c = NULL;
    return pg_now_open(conninfo, CONNECT_MS, &c, e);
}

/* postgresql://postgres:password@/postgres?host=/…/sock&port=…: drivers take a socket folder as host. */
static const char *private_url(const struct settings *s, const char *base,
                               const struct secrets *secrets, struct arena *a)
{
    struct str host = {0}, port = {0}, word, rest = str_from(base), name, value;
    for (bool more = true; more;) {
        more = str_cut(rest, ' ', &word, &rest);
        str_cut(word, '=', &name, &value);
        if (str_is(name, "host"))
            host = value;
        if (str_is(name, "port"))
            port = value;
    }
    if (s->db_listen)
        return arena_printf(a, "postgresql://postgres:%s@%s/postgres", secrets->db_postgres,
                            s->db_listen)
            .p;
    struct buf folder;
    buf_init_arena(&folder, a, 4096);
    url_encode(&folder, host);
    return arena_printf(a, "postgresql://postgres:%s@/postgres?host=%.*s&port=%.*s",
                        secrets->db_postgres, STR_ARG(buf_view(&folder)), STR_ARG(port))
        .p;
}

static bool open_private(struct settings *s, const char *dir, const struct secrets *secrets,
                         struct database *db, struct err *e)
{
    struct cluster_config c = {
        .data_dir = dir,
        .bin_dir = s->pg_bin,
        .listen = s->db_listen,
        .admin_password = secrets->db_admin,
        .max_connections = settings_pool_size(s) + SPARE_CONNECTIONS,
    };
    pg_now_forget_environment();
    if (!cluster_start(&c, &db->cluster, e))
        return false;
    const char *base = cluster_conninfo(db->cluster, &db->memory);
    db->url = private_url(s, base, secrets, &db->memory);
    return pg_now_conninfo(base, S("supabase_admin"), str_from(secrets->db_admin), S("postgres"),
                           &db->memory, &db->owner, e)
           && pg_now_conninfo(base, S("postgres"), str_from(secrets->db_postgres), S("postgres"),
                              &db->memory, &db->app, e);
}

bool database_open_url(const char *url, struct database *out, struct err *e)
{
    if (!reachable(url, e))
        return false;
    struct database db = {0};
    arena_init(&db.memory, SIZE_MAX);
    db.owner = db.app = db.direct = db.url = arena_cstr(&db.memory, str_from(url));
    *out = db;
    return true;
}

bool database_open(struct settings *s, const char *dir, const struct secrets *secrets,
                   struct database *out, struct err *e)
{
    if (s->database_url) {
        if (!database_open_url(s->database_url, out, e))
            return false;
        if (s->direct_database_url)
            out->owner = out->direct = s->direct_database_url;
        return true;
    }
    struct database db = {0};
    arena_init(&db.memory, SIZE_MAX);
    if (!open_private(s, dir, secrets, &db, e)) {
        database_close(&db, true);
        return false;
    }
    db.direct = db.owner;
    *out = db;
    return true;
}

void database_close(struct database *db, bool keep_cluster)
{
    if (db->cluster && !keep_cluster)
        cluster_stop(db->cluster, CLUSTER_STOP_MS);
    db->cluster = NULL;
    arena_close(&db->memory);
}

/* ---- its state ---------------------------------------------------------------------------- */

static bool pending(const struct migrate_state *m, struct err *e)
{
    if (m->pending + m->app_pending == 0)
        return false;
    return !err_set(
        e, 1, "migrations_pending",
        "the database lacks %u migrations: run `basalt migrate` on it, or start with --migrate",
        m->pending + m->app_pending);
}

/* One row, one column, or absent. */
static bool lookup(struct pg_now *c, const char *sql, struct str arg, struct arena *a,
                   struct str *out, struct err *e)
{
    struct pg_result *r = NULL;
    if (!pg_now_query(c, sql, &arg, 1, &r, e))
        return false;
    *out = pg_row_count(r) ? arena_str(a, pg_row_str(r, 0, 0)) : (struct str){0};
    pg_now_free(&r);
    return true;
}

static bool alter_login(struct pg_now *c, const struct login_row *row, const struct secrets *s,
                        struct arena *a, struct err *e)
{
    char verifier[SCRAM_VERIFIER_MAX];
    scram_verifier(password_of(s, row), verifier);
    struct str sql = arena_printf(a, "alter role %.*s password %.*s",
                                  STR_ARG(pg_now_identifier(c, str_from(row->role), a)),
                                  STR_ARG(pg_now_literal(c, str_from(verifier), a)));
    return pg_now_query(c, sql.p, NULL, 0, NULL, e);
}

/* The logins were made by our migrations for this database, not by another project. */
static bool logins_are_ours(struct pg_now *c, struct arena *a, bool *out, struct err *e)
{
    struct str n;
    bool ok = lookup(c,
                     "select count(*) from pg_roles where rolname in ('authenticator', "
                     "'supabase_auth_admin', 'supabase_storage_admin') and "
                     "shobj_description(oid, 'pg_authid') = $1 || current_database()",
                     S("basalt: login of database "), a, &n, e);
    *out = ok && str_is(n, "3");
    return ok;
}

/* Once a database, in one transaction with the note that it was done. */
static bool set_passwords(struct pg_now *c, const struct secrets *s, struct database *db,
                          struct err *e)
{
    struct str done;
    bool ours;
    if (!lookup(c, "select value from basalt.setting where name = $1", S("logins"), &db->memory,
                &done, e)
        || !logins_are_ours(c, &db->memory, &ours, e))
        return false;
    if (done.p || !ours)
        return true;
    if (!pg_now_query(c, "begin", NULL, 0, NULL, e))
        return false;
    for (size_t i = 0; i < LOGINS; i++) {
        bool app_owner =
            logins[i].login
            == PG_LOGIN_NONE; /* its password is ours to set in a private cluster only */
        if ((db->cluster || !app_owner) && !alter_login(c, &logins[i], s, &db->memory, e))
            return false;
    }
    struct str args[] = {S("logins"), S("passwords")};
    return pg_now_query(c, "insert into basalt.setting (name, value) values ($1, $2)", args, 2,
                        NULL, e)
           && pg_now_query(c, "commit", NULL, 0, NULL, e);
}

/* What a migration of the app needs beside the database: its role must be able to log in. */
struct preparation {
    const struct settings *settings;
    const char *dir;
    struct secrets *secrets;
    struct database *db;
};

/* Agrees on secrets with other nodes and gives logins their passwords; again is harmless. */
static bool prepare_logins(void *ctx, struct pg_now *c, struct err *e)
{
    struct preparation *p = ctx;
    return secrets_sync(p->settings, p->dir, c, p->secrets, e)
           && set_passwords(c, p->secrets, p->db, e);
}

static void report(void *ctx, const char *what, const char *name)
{
    (void)ctx;
    log_say(LOG_INFO, "migration", "%s %s", what, name);
}

static bool migrate(bool apply, struct preparation *p, struct err *e)
{
    struct migrate_config c = {
        .conninfo = p->db->owner,
        .app_conninfo = p->db->app,
        .app_dir = p->settings->app_migrations,
        .dry_run = !apply,
        .report = apply ? report : NULL,
        .before_app = prepare_logins,
        .ctx = p,
    };
    struct migrate_state state;
    return migrate_run(&c, &state, e) && (apply || !pending(&state, e));
}

/* Logins of their own where Basalt knows their passwords, else one login that changes role. */
static bool choose_logins(struct pg_now *c, const struct secrets *s, struct database *db,
                          struct err *e)
{
    struct str own;
    if (!lookup(c, "select value from basalt.setting where name = $1", S("logins"), &db->memory,
                &own, e))
        return false;
    for (size_t i = 0; i < LOGINS; i++) {
        const struct login_row *row = &logins[i];
        if (row->login == PG_LOGIN_NONE)
            continue;
        db->login[row->login] = db->app;
        db->set_role[row->login] = own.p ? NULL : row->role;
        if (own.p
            && !pg_now_conninfo(db->app, str_from(row->role), password_of(s, row), (struct str){0},
                                &db->memory, &db->login[row->login], e))
            return false;
    }
    return true;
}

static bool choose_profile_table(const struct settings *s, struct pg_now *c, struct database *db,
                                 struct err *e)
{
    if (s->profile_table) {
        db->profile_table = strcmp(s->profile_table, "off") == 0 ? NULL : s->profile_table;
        return true;
    }
    struct str table;
    if (!lookup(c, "select value from basalt.setting where name = $1", S("profile_table"),
                &db->memory, &table, e))
        return false;
    db->profile_table = table.p;
    return true;
}

/* One that we cannot read is the strictest. */
static bool read_emergency(struct pg_now *c, struct database *db, struct err *e)
{
    struct str word;
    if (!lookup(c, "select value from basalt.setting where name = $1", S("emergency"), &db->memory,
                &word, e))
        return false;
    db->emergency = EMERGENCY_LOCKED;
    if (!word.p)
        db->emergency = EMERGENCY_OFF;
    else
        emergency_parse(word, &db->emergency);
    return true;
}

bool database_roles(struct pg_now *c, struct arena *a, struct str *out, struct err *e)
{
    struct pg_result *rows = NULL;
    struct buf names;
    buf_init_arena(&names, a, SIZE_MAX);
    if (!pg_now_query(c,
                      "select r.rolname from pg_roles r join pg_roles a on a.rolname = 'authenticator'"
                      " where pg_has_role(a.oid, r.oid, 'MEMBER') and r.oid <> a.oid order by 1",
                      NULL, 0, &rows, e))
        return false;
    for (size_t i = 0; i < pg_row_count(rows); i++) {
        buf_str(&names, pg_row_str(rows, i, 0));
        buf_char(&names, '\0');
    }
    pg_now_free(&rows);
    *out = buf_view(&names);
    return true;
}

bool database_prepare(struct settings *s, const char *dir, bool apply, struct secrets *secrets,
                      struct database *db, struct err *e)
{
    struct preparation p = {.settings = s, .dir = dir, .secrets = secrets, .db = db};
    bool may_write = apply || db->cluster;
    if (!migrate(may_write, &p, e))
        return false;
    CLEANUP(pg_now_close) struct pg_now *c = NULL;
    return pg_now_open(db->owner, CONNECT_MS, &c, e)
           && (may_write ? prepare_logins(&p, c, e) : secrets_sync(s, dir, c, secrets, e))
           && choose_logins(c, secrets, db, e) && choose_profile_table(s, c, db, e)
           && read_emergency(c, db, e) && database_roles(c, &db->memory, &db->roles, e);
}
