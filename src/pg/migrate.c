/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/migrate.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "pg/migrations.h"
#include "pg/sql_split.h"
#include "runtime/file.h"

enum {
    CONNECT_MS = 10000,
    LOCK_MS = 60000,
    LOCK_LOOK_MS = 50,
    FILE_BYTES_MAX = 64 << 20, /* a seed dump; beyond it psql is the tool */
    VERSION_MAX = 40,
};

/* One of the app's files. */
struct app_file {
    struct str name;    /* "20240101120000_init.sql" */
    struct str version; /* its digits */
    struct str label;   /* "init" */
    const char *path;
    bool applied;
};

struct run {
    const struct migrate_config *config;
    struct arena memory;
    struct pg_now *db, *app; /* db also holds the lock, and is in no transaction while app works */
    struct app_file *files;  /* sorted */
    size_t files_n;
    bool *applied; /* ours, by version */
    struct migrate_state state;
};

static void report(const struct run *r, const char *what, struct str name)
{
    char text[300];
    snprintf(text, sizeof text, "%.*s", STR_ARG(name));
    if (r->config->report)
        r->config->report(r->config->ctx, what, text);
}

static struct str our_name(struct run *r, const struct migration *m)
{
    return arena_printf(&r->memory, "%04d_%s", m->version, m->name);
}

/* ---- the app's folder ---- */

/* <digits>_<name>.sql, as the Supabase CLI has it. */
static bool parse_name(struct str name, struct app_file *f)
{
    size_t n = 0;
    while (n < name.n && name.p[n] >= '0' && name.p[n] <= '9')
        n++;
    if (n == 0 || n > VERSION_MAX || n == name.n || name.p[n] != '_' || !str_ends(name, S(".sql")))
        return false;
    f->version = str_of(name.p, n);
    f->label = str_of(name.p + n + 1, name.n - n - 1 - strlen(".sql"));
    return true;
}

/* As numbers of any length; 007 comes before 7. */
static int compare(const void *a, const void *b)
{
    struct str x = ((const struct app_file *)a)->version, y = ((const struct app_file *)b)->version;
    struct str p = x, q = y;
    while (p.n && p.p[0] == '0')
        p = str_from_at(p, 1);
    while (q.n && q.p[0] == '0')
        q = str_from_at(q, 1);
    if (p.n != q.n)
        return p.n < q.n ? -1 : 1;
    int order = memcmp(p.p, q.p, p.n);
    return order ? order : x.n > y.n ? -1 : x.n < y.n;
}

static bool list_names(struct run *r, DIR *d, struct buf *files)
{
    for (struct dirent *x; (x = readdir(d));) {
        struct str name = arena_str(&r->memory, str_from(x->d_name));
        struct app_file f = {.name = name};
        if (name.p[0] == '.')
            continue;
        f.path = arena_printf(&r->memory, "%s/%s", r->config->app_dir, x->d_name).p;
        if (parse_name(name, &f))
            buf_add(files, &f, sizeof f);
        else
            report(r, "skipped", name);
    }
    return !files->failed;
}

static bool list_files(struct run *r, struct err *e)
{
    const char *dir = r->config->app_dir;
    DIR *d = dir ? opendir(dir) : NULL;
    if (!d && (!dir || errno == ENOENT))
        return true;
    if (!d)
        return err_set(e, 500, "file_io", "cannot read the folder %.100s: %s", dir,
                       strerrordesc_np(errno));
    struct buf files;
    buf_init_arena(&files, &r->memory, SIZE_MAX / 2);
    bool ok = list_names(r, d, &files);
    closedir(d);
    if (!ok)
        return err_set(e, 500, "file_io", "out of memory");
    r->files = (struct app_file *)(void *)files.p;
    r->files_n = files.n / sizeof *r->files;
    if (r->files_n)
        qsort(r->files, r->files_n, sizeof *r->files, compare);
    for (size_t i = 1; i < r->files_n; i++)
        if (str_eq(r->files[i - 1].version, r->files[i].version))
            return err_set(e, 500, "migration_twice",
                           "two migrations have the same version: %.60s and %.60s",
                           r->files[i - 1].name.p, r->files[i].name.p);
    return true;
}

/* ---- what is applied ---- */

/* A table that does not exist yet has no rows: *out is NULL then. */
static bool rows_of(struct run *r, const char *sql, struct pg_result **out, struct err *e)
{
    *out = NULL;
    if (pg_now_query(r->db, sql, NULL, 0, out, e))
        return true;
    bool missing = strcmp(e->sqlstate, "42P01") == 0; /* undefined_table */
    if (missing)
        err_clear(e);
    return missing;
}

static bool note_ours(struct run *r, int64_t version, struct str name, struct str checksum,
                      struct err *e)
{
    if (version < 0 || (uint64_t)version >= migrations_count) {
        report(r, "newer", arena_printf(&r->memory, "%04d_%.*s", (int)version, STR_ARG(name)));
        return true;
    }
    const struct migration *m = &migrations_all[version];
    if (!str_is(checksum, m->sha256))
        return err_set(e, 500, "migration_changed",
                       "migration %04d_%s was applied in another form than this program has it",
                       m->version, m->name);
    r->applied[version] = true;
    return true;
}

static bool load_ours(struct run *r, struct err *e)
{
    CLEANUP(pg_now_free) struct pg_result *rows = NULL;
    bool ok = rows_of(r, "select version, name, checksum from basalt.migrations order by version",
                      &rows, e);
    for (size_t i = 0; ok && rows && i < pg_row_count(rows); i++)
        ok =
            note_ours(r, pg_row_i64(rows, i, 0), pg_row_str(rows, i, 1), pg_row_str(rows, i, 2), e);
    return ok;
}

static bool load_app(struct run *r, struct err *e)
{
    CLEANUP(pg_now_free) struct pg_result *rows = NULL;
    if (!r->files_n)
        return true;
    if (!rows_of(r, "select version from supabase_migrations.schema_migrations", &rows, e))
        return false;
    for (size_t i = 0; rows && i < pg_row_count(rows); i++)
        for (size_t f = 0; f < r->files_n; f++)
            if (str_eq(r->files[f].version, pg_row_str(rows, i, 0)))
                r->files[f].applied = true;
    return true;
}

/* Version 0 is the bootstrap, which is no migration and never recorded. */
static bool load(struct run *r, struct err *e)
{
    if (!load_ours(r, e) || !load_app(r, e))
        return false;
    r->state.pending = r->state.app_pending = 0;
    for (size_t i = 1; i < migrations_count; i++)
        r->state.pending += !r->applied[i];
    for (size_t i = 0; i < r->files_n; i++)
        r->state.app_pending += !r->files[i].applied;
    return true;
}

static void report_pending(struct run *r)
{
    for (size_t i = 1; i < migrations_count; i++)
        if (!r->applied[i])
            report(r, "pending", our_name(r, &migrations_all[i]));
    for (size_t i = 0; i < r->files_n; i++)
        if (!r->files[i].applied)
            report(r, "pending", r->files[i].name);
}

/* ---- the lock ---- */

/*
 * Asked for again and again instead of waited for: a waiting statement holds a snapshot, and CREATE
 * INDEX CONCURRENTLY of the one who has the lock would wait for that. Ends with the connection.
 */
static bool take_lock(struct run *r, int timeout_ms, struct err *e)
{
    int64_t end = clock_mono_us() + timeout_ms * CLOCK_MS;
    for (;;) {
        CLEANUP(pg_now_free) struct pg_result *rows = NULL;
        if (!pg_now_query(r->db, "select pg_try_advisory_lock(x'62617361'::int, x'6c74'::int)",
                          NULL, 0, &rows, e))
            return false;
        if (pg_row_bool(rows, 0, 0))
            return true;
        if (clock_mono_us() > end)
            return err_set(e, 500, "migration_locked",
                           "another program has been migrating this database for %d s",
                           timeout_ms / 1000);
        nanosleep(&(struct timespec){.tv_nsec = LOCK_LOOK_MS * 1000000L}, NULL);
    }
}

/* ---- one script ---- */

struct script {
    struct str name; /* for messages: file name, of the app's with its folder */
    struct str text;
    struct str *statements;
    size_t n;
    bool own_transaction; /* COMMIT or ROLLBACK in it: it rules its transactions by itself */
};

static unsigned line_at(struct str text, size_t at)
{
    unsigned line = 1;
    for (size_t i = 0; i < at && i < text.n; i++)
        line += text.p[i] == '\n';
    return line;
}

/* PostgreSQL counts characters from 1. */
static size_t byte_of(struct str s, int position)
{
    size_t at = 0;
    for (int i = 1; i < position && at < s.n; i++) {
        size_t n = utf8_next(s, at);
        at += n ? n : 1;
    }
    return at;
}

static bool is_word(struct str statement, const char *word)
{
    return str_eq_nocase(sql_split_word(statement, 0), str_from(word));
}

static bool begins(struct str statement)
{
    return is_word(statement, "begin")
           || (is_word(statement, "start")
               && str_eq_nocase(sql_split_word(statement, 1), S("transaction")));
}

static bool commits(struct str statement)
{
    return is_word(statement, "commit") || is_word(statement, "end");
}

static bool rules_transaction(struct str s)
{
    return begins(s) || commits(s) || is_word(s, "abort")
           || (is_word(s, "rollback") && !str_eq_nocase(sql_split_word(s, 1), S("to")));
}

/* BEGIN first and COMMIT last are what we do anyway: left out, so that the record joins them. */
static void strip_transaction(struct script *s)
{
    if (s->n >= 2 && begins(s->statements[0]) && commits(s->statements[s->n - 1])) {
        s->statements++;
        s->n -= 2;
    }
    for (size_t i = 0; i < s->n; i++)
        s->own_transaction |= rules_transaction(s->statements[i]);
}

static bool script_make(struct run *r, struct str name, struct str text, struct script *out,
                        struct err *e)
{
    if (text.n && memchr(text.p, 0, text.n))
        return err_set(e, 500, "migration_failed", "%.100s holds a NUL byte", name.p);
    if (str_starts(text, S("\xef\xbb\xbf"))) /* an editor's byte order mark */
        text = str_from_at(text, 3);
    struct sql_split split = {.script = text};
    struct buf list;
    struct str statement;
    buf_init_arena(&list, &r->memory, SIZE_MAX / 2);
    while (sql_split_next(&split, &statement))
        buf_add(&list, &statement, sizeof statement);
    if (list.failed)
        return err_set(e, 500, "migration_failed", "out of memory");
    *out = (struct script){.name = name,
                           .text = text,
                           .statements = (struct str *)(void *)list.p,
                           .n = list.n / sizeof statement};
    strip_transaction(out);
    return true;
}

/* "file:line: what PostgreSQL says"; the rest of what it says in detail. */
static bool failed_at(const struct script *s, const struct pg_now *db, size_t at, const char *more,
                      struct err *e)
{
    struct err was = *e;
    err_set(e, 500, "migration_failed", "%.*s:%u: %s", STR_ARG(s->name), line_at(s->text, at),
            was.message);
    memcpy(e->sqlstate, was.sqlstate, sizeof e->sqlstate);
    return err_detail(e, "%s%s%s%s%s", was.message, *pg_now_error_notes(db) ? "\n" : "",
                      pg_now_error_notes(db), *more ? "\n" : "", more);
}

static bool run_statement(const struct script *s, size_t i, struct pg_now *db, const char *more,
                          struct err *e)
{
    struct str text = s->statements[i];
    CLEANUP(buf_free) struct buf copy;
    int position = 0;
    buf_init(&copy, text.n + 1);
    buf_str(&copy, text);
    buf_char(&copy, 0);
    if (copy.failed)
        return err_set(e, 500, "migration_failed", "out of memory");
    if (pg_now_script(db, copy.p, &position, e))
        return true;
    size_t at = (size_t)(text.p - s->text.p) + byte_of(text, position);
    return failed_at(s, db, at, more, e);
}

static bool run_statements(const struct script *s, struct pg_now *db, const char *more,
                           struct err *e)
{
    for (size_t i = 0; i < s->n; i++)
        if (!run_statement(s, i, db, more, e))
            return false;
    return true;
}

/* How a script says that it was applied, in its own transaction. */
struct record {
    const char *sql;
    const struct str *args;
    size_t n;
};

static bool write_record(const struct script *s, const struct record *record, struct pg_now *db,
                         struct err *e)
{
    /* deferred constraints speak here, not as a COMMIT that fails; a role that was set is left */
    if (pg_now_script(db, "set constraints all immediate; reset role", NULL, e)
        && pg_now_query(db, record->sql, record->args, record->n, NULL, e))
        return true;
    return failed_at(s, db, s->text.n, "at its end", e);
}

static void roll_back(struct pg_now *db)
{
    struct err ignored;
    if (!pg_now_script(db, "rollback", NULL, &ignored))
        return; /* the connection is gone, and with it the transaction */
}

static bool run_in_transaction(const struct script *s, const struct record *record,
                               struct pg_now *db, struct err *e)
{
    if (pg_now_script(db, "begin", NULL, e) && run_statements(s, db, "", e)
        && write_record(s, record, db, e)) {
        if (pg_now_script(db, "commit", NULL, e))
            return true;
        failed_at(s, db, s->text.n, "at its end", e);
    }
    struct err first = *e;
    roll_back(db);
    *e = first;
    return false;
}

/* 25001: "cannot run inside a transaction block"; 55P04: an enum's value used where it was added. */
static bool needs_no_transaction(const struct err *e)
{
    return strcmp(e->sqlstate, "25001") == 0 || strcmp(e->sqlstate, "55P04") == 0;
}

/*
 * One transaction; what PostgreSQL refuses inside one (CREATE INDEX CONCURRENTLY, ALTER SYSTEM, …)
 * runs statement by statement after all was rolled back, as psql would run it.
 */
static bool run_script(const struct script *s, const struct record *record, struct pg_now *db,
                       struct err *e)
{
    if (!s->own_transaction) {
        if (run_in_transaction(s, record, db, e))
            return true;
        if (!needs_no_transaction(e))
            return false;
    }
    if (run_statements(s, db,
                       "this file cannot run in one transaction: what comes before is applied", e)
        && pg_now_script(db, "begin", NULL, e) && write_record(s, record, db, e)
        && pg_now_script(db, "commit", NULL, e))
        return true;
    struct err first = *e;
    roll_back(db);
    *e = first;
    return false;
}

/* ---- applying ---- */

static bool apply_ours(struct run *r, const struct migration *m, struct err *e)
{
    char version[16];
    snprintf(version, sizeof version, "%d", m->version);
    struct str args[] = {str_from(version), str_from(m->name), str_from(m->sha256)};
    struct record record = {
        .sql = "insert into basalt.migrations (version, name, checksum) values ($1::int, $2, $3)",
        .args = args,
        .n = 3};
    struct script s;
    struct str name = our_name(r, m);
    if (!script_make(r, arena_printf(&r->memory, "%s.sql", name.p), str_from(m->sql), &s, e)
        || !run_script(&s, &record, r->db, e))
        return false;
    report(r, "applied", name);
    r->applied[m->version] = true;
    r->state.applied++;
    r->state.pending--;
    return true;
}

/* {"one","two"}: every element quoted, " and \ escaped. */
static bool array_text(const struct script *s, struct buf *out, struct err *e)
{
    buf_char(out, '{');
    for (size_t i = 0; i < s->n; i++) {
        buf_str(out, i ? S(",\"") : S("\""));
        for (size_t k = 0; k < s->statements[i].n; k++) {
            char c = s->statements[i].p[k];
            if (c == '"' || c == '\\')
                buf_char(out, '\\');
            buf_char(out, c);
        }
        buf_char(out, '"');
    }
    buf_char(out, '}');
    return !out->failed || err_set(e, 500, "migration_failed", "out of memory");
}

static bool apply_app(struct run *r, struct app_file *f, struct err *e)
{
    CLEANUP(buf_free) struct buf text, statements;
    struct script s;
    buf_init(&text, FILE_BYTES_MAX);
    buf_init(&statements, SIZE_MAX / 2);
    if (!file_now_read(f->path, FILE_BYTES_MAX, &text, e)
        || !script_make(r, str_from(f->path), buf_view(&text), &s, e)
        || !array_text(&s, &statements, e))
        return false;
    struct str args[] = {f->version, buf_view(&statements), f->label};
    struct record record = {.sql = "insert into supabase_migrations.schema_migrations"
                                   " (version, statements, name) values ($1, $2::text[], $3)",
                            .args = args,
                            .n = 3};
    /* what the file before it has set, made temporary or become is not this one's */
    if (!pg_now_script(r->app, "discard all", NULL, e)
        || !pg_now_script(r->app, "set statement_timeout = 0", NULL, e)
        || !run_script(&s, &record, r->app, e))
        return false;
    report(r, "applied", f->name);
    f->applied = true;
    r->state.app_applied++;
    r->state.app_pending--;
    return true;
}

static bool apply_all_ours(struct run *r, struct err *e)
{
    /*
     * A lock that somebody holds is an error after a minute, not a server that never starts. A commit
     * need not reach the disk by itself: lost with a power cut, a migration is lost with its record,
     * and whatever is acknowledged later takes it along.
     */
    if (!pg_now_script(r->db,
                       "set statement_timeout = 0; set lock_timeout = '60s';"
                       " set synchronous_commit = off",
                       NULL, e))
        return false;
    for (size_t i = 1; i < migrations_count; i++)
        if (!r->applied[i] && !apply_ours(r, &migrations_all[i], e))
            return false;
    return pg_now_script(r->db, "reset synchronous_commit", NULL, e);
}

static bool apply_all_app(struct run *r, struct err *e)
{
    const struct migrate_config *c = r->config;
    if (r->state.app_pending == 0)
        return true;
    if ((c->before_app && !c->before_app(c->ctx, r->db, e))
        || !pg_now_open(c->app_conninfo, CONNECT_MS, &r->app, e))
        return false;
    for (size_t i = 0; i < r->files_n; i++)
        if (!r->files[i].applied && !apply_app(r, &r->files[i], e))
            return false;
    return true;
}

/* 0008_profiles.sql makes no table of profiles where the app is about to bring one. */
static bool tell_of_app(struct run *r, struct err *e)
{
    return r->state.app_pending == 0
           || pg_now_script(r->db, "select set_config('basalt.app_migrations', 'on', false)", NULL,
                            e);
}

/* Under the lock everything is looked at once more: somebody else may have done it meanwhile. */
static bool apply(struct run *r, struct err *e)
{
    struct script bootstrap;
    if (!take_lock(r, LOCK_MS, e)
        || !script_make(r, S("0000_bootstrap.sql"), str_from(migrations_all[0].sql), &bootstrap, e)
        || !run_statements(&bootstrap, r->db, "", e) || !load(r, e) || !tell_of_app(r, e))
        return false;
    return apply_all_ours(r, e) && apply_all_app(r, e);
}

static void run_close(struct run *r)
{
    pg_now_close(&r->app);
    pg_now_close(&r->db);
    arena_close(&r->memory);
}

bool migrate_run(const struct migrate_config *c, struct migrate_state *out, struct err *e)
{
    CLEANUP(run_close) struct run r = {.config = c};
    arena_init(&r.memory, SIZE_MAX);
    r.applied = arena_new(&r.memory, bool, migrations_count);
    if (!list_files(&r, e) || !pg_now_open(c->conninfo, CONNECT_MS, &r.db, e) || !load(&r, e))
        return false;
    bool nothing = r.state.pending + r.state.app_pending == 0;
    if (c->dry_run)
        report_pending(&r);
    else if (!nothing && !apply(&r, e))
        return false;
    *out = r.state;
    return true;
}
