/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/pg_test.h"

#include "pg/migrate.c"

/* What a run reported: "applied 1_a.sql\n…". */
static char told[4000];

static void tell(void *ctx, const char *what, const char *name)
{
    (void)ctx;
    size_t n = strlen(told);
    snprintf(told + n, sizeof told - n, "%s %s\n", what, name);
}

static bool was_told(const char *line)
{
    return strstr(told, line) != NULL;
}

static char conninfo[400], app_conninfo[400], dir[100];

static void use_database(const char *name)
{
    char sql[200];
    snprintf(sql, sizeof sql, "create database %s", name);
    test_pg_script(sql);
    snprintf(conninfo, sizeof conninfo, "host=%s user=tester dbname=%s", test_pg.dir, name);
    snprintf(app_conninfo, sizeof app_conninfo, "host=%s user=postgres dbname=%s", test_pg.dir,
             name);
}

static bool run_it(bool dry_run, struct migrate_state *out, struct err *e)
{
    struct migrate_config c = {.conninfo = conninfo,
                               .app_conninfo = app_conninfo,
                               .app_dir = dir,
                               .dry_run = dry_run,
                               .report = tell};
    told[0] = '\0';
    *out = (struct migrate_state){0};
    return migrate_run(&c, out, e);
}

static void assert_runs(unsigned applied, unsigned app_applied)
{
    struct migrate_state s;
    struct err e = {0};
    if (!run_it(false, &s, &e))
        fail_msg("%s %s: %s", e.code, e.message, e.detail);
    assert_int_equal(s.applied, applied);
    assert_int_equal(s.app_applied, app_applied);
    assert_int_equal(s.pending + s.app_pending, 0);
}

static void assert_fails(const char *code, const char *message, struct err *e)
{
    struct migrate_state s;
    assert_false(run_it(false, &s, e));
    assert_string_equal(e->code, code);
    assert_int_equal(e->status, 500);
    if (!strstr(e->message, message))
        fail_msg("\"%s\" is not in \"%s\"", message, e->message);
}

static void put(const char *name, const char *text)
{
    char path[300];
    struct err e;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_true(file_now_write(path, str_from(text), 0644, &e));
}

static void take_away(const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(unlink(path), 0);
}

static int64_t number(const char *sql)
{
    struct pg_now *c = NULL;
    struct pg_result *r = NULL;
    struct err e;
    assert_true(pg_now_open(conninfo, 5000, &c, &e));
    if (!pg_now_query(c, sql, NULL, 0, &r, &e))
        fail_msg("%s", e.message);
    int64_t v = pg_row_count(r) ? pg_row_i64(r, 0, 0) : -1;
    pg_now_free(&r);
    pg_now_close(&c);
    return v;
}

static void script(const char *sql)
{
    struct pg_now *c = NULL;
    struct err e;
    assert_true(pg_now_open(conninfo, 5000, &c, &e));
    if (!pg_now_script(c, sql, NULL, &e))
        fail_msg("%s", e.message);
    pg_now_close(&c);
}

#define OURS ((unsigned)migrations_count - 1)

/* Every test begins with an empty folder. */
static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/basalt-migrate-test.XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    DIR *d = opendir(dir);
    for (struct dirent *x; d && (x = readdir(d));)
        if (x->d_name[0] != '.' || x->d_name[1] == 'h')
            take_away(x->d_name);
    closedir(d);
    return rmdir(dir);
}

/* ---- ours ---- */

static void test_ours(void **state)
{
    (void)state;
    struct migrate_state s;
    struct err e;
    use_database("ours");
    assert_true(run_it(true, &s, &e));
    assert_int_equal(s.pending, OURS);
    assert_true(was_told("pending 0001_roles\n"));
    assert_int_equal(number("select count(*) from pg_namespace where nspname = 'basalt'"), 0);
    assert_runs(OURS, 0);
    assert_true(was_told("applied 0001_roles\n"));
    assert_int_equal(number("select count(*) from basalt.migrations"), OURS);
    assert_runs(0, 0);
    assert_string_equal(told, "");
    script("drop table if exists public.nothing; delete from basalt.migrations where version < 0");
    script("insert into basalt.migrations (version, name, checksum) values (9000, 'later', 'x')");
    assert_runs(0, 0); /* a newer program was here: no error */
    assert_string_equal(told, "newer 9000_later\n");
    script("update basalt.migrations set checksum = repeat('0', 64) where version = 2");
    assert_fails("migration_changed", "0002_project", &e);
}

/* A folder that does not exist, and no folder at all. */
static void test_no_folder(void **state)
{
    (void)state;
    char keep[100];
    memcpy(keep, dir, sizeof keep);
    use_database("no_folder");
    snprintf(dir, sizeof dir, "/nonexistent/migrations");
    assert_runs(OURS, 0);
    memcpy(dir, keep, sizeof keep);
    struct migrate_config c = {.conninfo = conninfo, .app_conninfo = app_conninfo};
    struct migrate_state s;
    struct err e;
    assert_true(migrate_run(&c, &s, &e));
}

/* Two programs start at once on an empty database: each migration is applied once. */
static void test_two_at_once(void **state)
{
    (void)state;
    use_database("two");
    put("1_a.sql", "create table public.once (id int);");
    pid_t child[3];
    for (int i = 0; i < 3; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            struct migrate_state s;
            struct err e;
            if (!run_it(false, &s, &e)) {
                fprintf(stderr, "%s\n", e.message);
                _exit(1);
            }
            _exit(s.pending + s.app_pending ? 2 : 0);
        }
    }
    for (int i = 0; i < 3; i++) {
        int status;
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(number("select count(*) from basalt.migrations"), OURS);
    assert_int_equal(number("select count(*) from supabase_migrations.schema_migrations"), 1);
}

/* Somebody migrates and does not end. */
static void test_locked(void **state)
{
    (void)state;
    struct run r = {0}, other = {0};
    struct err e;
    use_database("locked");
    assert_true(pg_now_open(conninfo, 5000, &other.db, &e));
    assert_true(take_lock(&other, 1000, &e));
    assert_true(pg_now_open(conninfo, 5000, &r.db, &e));
    int64_t begin = clock_mono_us();
    assert_false(take_lock(&r, 200, &e));
    assert_true(clock_mono_us() - begin < 2 * CLOCK_S);
    assert_string_equal(e.code, "migration_locked");
    pg_now_close(&other.db); /* the lock goes with its owner, also with a killed one */
    assert_true(take_lock(&r, 5000, &e));
    pg_now_close(&r.db);
}

/* ---- the app's ---- */

static bool note_before_app(void *ctx, struct pg_now *db, struct err *e)
{
    ++*(int *)ctx;
    return pg_now_script(db, "comment on role postgres is 'told'", NULL, e);
}

static void test_order(void **state)
{
    (void)state;
    struct err e;
    use_database("app");
    put("10_third.sql", "insert into public.seen (n) values (3);");
    put("2_second.sql", "insert into public.seen (n) values (2);");
    put("001_first.sql",
        "create table public.seen (id serial, n int); insert into public.seen (n) values (1);");
    put("README.md", "not SQL");
    put("nodigits.sql", "select 1/0");
    put(".hidden_1_x.sql", "select 1/0");
    int calls = 0;
    struct migrate_config c = {.conninfo = conninfo,
                               .app_conninfo = app_conninfo,
                               .app_dir = dir,
                               .before_app = note_before_app,
                               .ctx = &calls};
    struct migrate_state s;
    if (!migrate_run(&c, &s, &e))
        fail_msg("%s", e.message);
    assert_int_equal(calls, 1);
    assert_int_equal(s.app_applied, 3);
    assert_int_equal(number("select string_agg(n::text, '' order by id)::int from public.seen"),
                     123);
    assert_int_equal(number("select count(*) from pg_tables where tablename = 'seen'"
                            " and tableowner = 'postgres'"),
                     1);
    assert_int_equal(number("select count(*) from supabase_migrations.schema_migrations where"
                            " version = '001' and name = 'first' and cardinality(statements) = 2"
                            " and statements[2] = 'insert into public.seen (n) values (1)'"),
                     1);
    assert_true(migrate_run(&c, &s, &e));
    assert_int_equal(calls, 1); /* nothing was pending */
    assert_int_equal(s.app_applied, 0);
    assert_runs(0, 0);
    assert_true(was_told("skipped README.md\n"));
    assert_true(was_told("skipped nodigits.sql\n"));
    assert_false(was_told("hidden"));
}

static void test_dry_run(void **state)
{
    (void)state;
    struct migrate_state s;
    struct err e;
    put("100_dry.sql", "create table public.dry (id int);");
    assert_true(run_it(true, &s, &e));
    assert_int_equal(s.app_pending, 1);
    assert_int_equal(s.app_applied, 0);
    assert_string_equal(told, "pending 100_dry.sql\n");
    assert_int_equal(number("select count(*) from pg_tables where tablename = 'dry'"), 0);
}

static void test_twice(void **state)
{
    (void)state;
    struct err e;
    put("200_one.sql", "select 1");
    put("200_two.sql", "select 1");
    assert_fails("migration_twice", "200_", &e);
    assert_non_null(strstr(e.message, "200_one.sql"));
    assert_non_null(strstr(e.message, "200_two.sql"));
}

struct failure {
    const char *text;
    const char *message; /* behind "300_bad.sql:" */
    const char *detail;  /* a part of it */
};

static const struct failure failures[] = {
    {"create table public.bad (id int);\n\n\nselekt 1;\n", "4: syntax error at or near", ""},
    {"create table public.bad (id int);\n-- \xc3\xa4\xc3\xb6;\n select 1,\n  nothing;\n",
     "4: column \"nothing\" does not exist", ""},
    {"\xef\xbb\xbf-- a;\n\n/* x;\n*/ select\r\n '\xe2\x82\xac\xe2\x82\xac', nowhere.f();",
     "5: schema \"nowhere\" does not exist", ""},
    /* at run time there is no position: the line at which the statement begins */
    {"create table public.bad (id int);\n\ninsert into public.bad\n select 1/0;\n",
     "3: division by zero", ""},
    {"create table public.bad (id int primary key);\ninsert into public.bad values (1);\n"
     "insert into public.bad values (1);",
     "3: duplicate key value violates unique constraint \"bad_pkey\"",
     "DETAIL: Key (id)=(1) already exists."},
    {"create function public.bad() returns trigger language plpgsql as $$ begin\n"
     " raise exception 'not; today' using hint = 'come back'; end $$;\n"
     "create table public.bad (id int);\n"
     "create trigger t before insert on public.bad for each row execute function public.bad();\n"
     "insert into public.bad values (1);\n",
     "5: not; today", "HINT: come back"},
    {"create table public.bad (id int primary key deferrable initially deferred);\n"
     "insert into public.bad values (1), (1);\n\n",
     "4: duplicate key value", "at its end"},
    {"begin;\ncreate table public.bad (id int);\nselect 1/0;\ncommit;\n", "3: division by zero",
     ""},
    {"create table public.bad (id int);\ncopy public.bad from stdin;\n",
     "2: COPY from stdin failed", ""},
    {"select 'open", "1: unterminated quoted string", ""},
};

static void test_failing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        const struct failure *f = &failures[i];
        char message[200];
        struct err e;
        put("300_bad.sql", f->text);
        put("301_after.sql", "create table public.after_bad (id int);");
        snprintf(message, sizeof message, "%s/300_bad.sql:%s", dir, f->message);
        assert_fails("migration_failed", message, &e);
        if (!strstr(e.detail, f->detail))
            fail_msg("\"%s\" is not in \"%s\"", f->detail, e.detail);
        /* nothing of it stays, and nothing comes after it */
        assert_int_equal(
            number("select count(*) from pg_class where relname in ('bad', 'after_bad')"), 0);
        assert_int_equal(number("select count(*) from supabase_migrations.schema_migrations"
                                " where version >= '300' and version < '400'"),
                         0);
    }
    put("300_bad.sql", "create table public.bad (id int);"); /* mended: goes on */
    assert_runs(0, 2);
}

/* What PostgreSQL refuses inside a transaction. */
static void test_no_transaction(void **state)
{
    (void)state;
    struct err e;
    put("400_index.sql", "create table public.big (id int);\n"
                         "create index concurrently big_id on public.big (id);\n");
    put("401_enum.sql", "create type public.mood as enum ('a');\n"
                        "create table public.moods (m public.mood);\n");
    put("402_enum_more.sql", "alter type public.mood add value 'b';\n"
                             "insert into public.moods values ('b');\n");
    put("403_vacuum.sql", "vacuum public.big");
    assert_runs(0, 4);
    assert_int_equal(number("select count(*) from pg_index where indexrelid = 'big_id'::regclass"
                            " and indisvalid"),
                     1);
    assert_int_equal(number("select count(*) from public.moods"), 1);
    put("404_half.sql", "create table public.half (id int);\n"
                        "create index concurrently half_id on public.half (id);\nselect 1/0;");
    assert_fails("migration_failed", "404_half.sql:3: division by zero", &e);
    assert_non_null(strstr(e.detail, "cannot run in one transaction"));
}

static void test_own_transactions(void **state)
{
    (void)state;
    put("500_framed.sql", "begin;\ncreate table public.framed (id int);\ncommit;\n");
    put("501_several.sql", "begin; create table public.several (id int); commit;\n"
                           "begin; insert into public.several values (1); rollback;\n"
                           "begin; insert into public.several values (2); commit;");
    put("502_savepoint.sql", "insert into public.several values (3); savepoint a;\n"
                             "insert into public.several values (4); rollback to a;");
    assert_runs(0, 3);
    assert_int_equal(number("select sum(id) from public.several"), 5);
    assert_int_equal(number("select count(*) from supabase_migrations.schema_migrations"
                            " where version in ('500', '501', '502')"),
                     3);
}

/* One file's settings, roles and temporary tables are not the next one's. */
static void test_session(void **state)
{
    (void)state;
    put("600_dump.sql", "select set_config('search_path', '', false); set statement_timeout = 1;"
                        "reset statement_timeout; set role anon; create temp table t (id int);");
    put("601_next.sql", "create table session_kept (id int); create temp table t (id int);");
    put("602_empty.sql", "-- nothing yet\n");
    put("603_nothing.sql", "");
    put("604_quotes.sql", "select '\"\\{}', E'a\\\\b' as \"x\"\"y\"");
    assert_runs(0, 5);
    assert_int_equal(number("select count(*) from pg_tables where schemaname = 'public' and"
                            " tablename = 'session_kept' and tableowner = 'postgres'"),
                     1);
    assert_int_equal(number("select count(*) from supabase_migrations.schema_migrations"
                            " where version = '604' and statements ="
                            " array['select ''\"\\{}'', E''a\\\\b'' as \"x\"\"y\"']"),
                     1);
}

static void test_not_readable(void **state)
{
    (void)state;
    struct migrate_state s;
    struct err e;
    char path[300];
    snprintf(path, sizeof path, "%s/700_folder.sql", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_false(run_it(false, &s, &e));
    assert_non_null(strstr(e.message, "700_folder.sql"));
    assert_int_equal(rmdir(path), 0);
    put("700_nul.sql", "select 1");
    snprintf(path, sizeof path, "%s/700_nul.sql", dir);
    assert_true(file_now_write(path, S("select\0 1"), 0600, &e));
    assert_fails("migration_failed", "NUL", &e);
}

static void test_unreachable(void **state)
{
    (void)state;
    struct migrate_config c = {.conninfo = "host=/nonexistent user=tester", .app_dir = dir};
    struct migrate_state s;
    struct err e;
    assert_false(migrate_run(&c, &s, &e));
    assert_int_equal(e.status, 503);
}

int main(void)
{
#define IN_DIR(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        IN_DIR(test_ours),           IN_DIR(test_no_folder),
        IN_DIR(test_two_at_once),    IN_DIR(test_locked),
        IN_DIR(test_order),          IN_DIR(test_dry_run),
        IN_DIR(test_twice),          IN_DIR(test_failing),
        IN_DIR(test_no_transaction), IN_DIR(test_own_transactions),
        IN_DIR(test_session),        IN_DIR(test_not_readable),
        IN_DIR(test_unreachable),
    };
    test_pg_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
