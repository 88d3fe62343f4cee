/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <ftw.h>
#include <glob.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "pg/cluster.c"
#include "pg/pg_now.h"
#include "runtime/fiber.h"

/* One folder with one cluster serves all tests, each of which leaves it stopped. */
static char root[100], data[120];

static const char password[] = "of the administrator";

static struct cluster_config config_now(void)
{
    return (struct cluster_config){
        .data_dir = data, .admin_password = password, .max_connections = 20};
}

static struct cluster *start_with(const struct cluster_config *config)
{
    struct cluster *c = NULL;
    struct err e = {0};
    if (!cluster_start(config, &c, &e))
        fail_msg("%s: %s\n%s", e.code, e.message, e.detail);
    return c;
}

static struct cluster *start_it(void)
{
    struct cluster_config config = config_now();
    return start_with(&config);
}

static void assert_refuses(const struct cluster_config *config, const char *code, const char *part)
{
    struct cluster *c = NULL;
    struct err e = {0};
    assert_false(cluster_start(config, &c, &e));
    assert_string_equal(e.code, code);
    if (!strstr(e.message, part))
        fail_msg("\"%s\" is not in \"%s\"", part, e.message);
}

static bool connect_as(const struct cluster *c, const char *user, const char *pw,
                       struct pg_now **out, struct err *e)
{
    struct arena a;
    const char *conninfo;
    arena_init(&a, 1 << 20);
    bool ok = pg_now_conninfo(cluster_conninfo(c, &a), str_from(user), str_from(pw), S("postgres"),
                              &a, &conninfo, e)
              && pg_now_open(conninfo, 5000, out, e);
    arena_close(&a);
    return ok;
}

/* A crash may come to light only now: for a while connections are then refused. */
static struct pg_now *connect_it(const struct cluster *c)
{
    struct pg_now *db = NULL;
    struct err e;
    int64_t end = clock_mono_us() + 10 * CLOCK_S;
    while (!connect_as(c, "supabase_admin", password, &db, &e))
        if (clock_mono_us() > end)
            fail_msg("%s", e.message);
        else
            usleep(5000);
    return db;
}

static void assert_shows(const struct cluster *c, const char *sql, const char *expected)
{
    struct pg_now *db = connect_it(c);
    struct pg_result *r = NULL;
    struct err e;
    char got[200];
    if (!pg_now_query(db, sql, NULL, 0, &r, &e))
        fail_msg("%s", e.message);
    snprintf(got, sizeof got, "%.*s", STR_ARG(pg_row_str(r, 0, 0)));
    pg_now_free(&r);
    pg_now_close(&db);
    assert_string_equal(got, expected);
}

static void run_sql(const struct cluster *c, const char *sql)
{
    struct pg_now *db = connect_it(c);
    struct err e;
    if (!pg_now_script(db, sql, NULL, &e))
        fail_msg("%s", e.message);
    pg_now_close(&db);
}

static const char *in_data(const char *name)
{
    static char path[300];
    snprintf(path, sizeof path, "%s/%s", data, name);
    return path;
}

static unsigned mode_of(const char *name)
{
    struct stat st;
    return lstat(in_data(name), &st) == 0 ? st.st_mode & 0777 : 0;
}

static bool exists(const char *name)
{
    struct stat st;
    return lstat(in_data(name), &st) == 0;
}

static void put(const char *name, const char *text)
{
    struct err e;
    assert_true(file_now_write(in_data(name), str_from(text), 0600, &e));
}

static pid_t postmaster(void)
{
    pid_t pid;
    cluster_proc_look(in_data("pg"), &pid);
    return pid;
}

static int64_t ms_since(int64_t begin)
{
    return (clock_mono_us() - begin) / CLOCK_MS;
}

/* A server that is killed: it starts the cluster in a process of its own, which SIGKILL ends. */
static void start_in_killed_server(const struct cluster_config *config)
{
    pid_t child = fork();
    if (child == 0) {
        struct cluster *c;
        struct err e;
        if (!cluster_start(config, &c, &e)) {
            fprintf(stderr, "%s\n", e.message);
            _exit(1);
        }
        kill(getpid(), SIGKILL);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));
    assert_true(postmaster() > 0);
}

/* Another process keeps a backend busy; it ends when its connection does. */
static pid_t keep_busy(const struct cluster *c, const char *sql)
{
    pid_t child = fork();
    if (child == 0) {
        struct pg_now *db;
        struct err e;
        bool ok =
            connect_as(c, "supabase_admin", password, &db, &e) && pg_now_script(db, sql, NULL, &e);
        _exit(ok);
    }
    char count[300], busy[2] = "";
    snprintf(count, sizeof count,
             "select count(*) from pg_stat_activity where state = 'active' and query = '%s'", sql);
    struct pg_now *db = connect_it(c);
    for (int i = 0; i < 2000 && busy[0] != '1'; i++) {
        struct pg_result *r = NULL;
        struct err e;
        assert_true(pg_now_query(db, count, NULL, 0, &r, &e));
        snprintf(busy, sizeof busy, "%.*s", STR_ARG(pg_row_str(r, 0, 0)));
        pg_now_free(&r);
        usleep(2000);
    }
    pg_now_close(&db);
    assert_string_equal(busy, "1");
    return child;
}

/* ---- making ---- */

static void test_first_start(void **state)
{
    (void)state;
    struct pg_now *db = NULL;
    struct err e;
    struct cluster *c = start_it();
    assert_false(exists("pg.new"));
    assert_false(exists("pg.password"));
    assert_int_equal(mode_of("pg"), 0700);
    assert_int_equal(mode_of("sock"), 0700);
    assert_int_equal(mode_of("sock/.s.PGSQL.5432"), 0700);
    assert_int_equal(mode_of("log/postgres.log"), 0600);
    assert_shows(c, "show data_checksums", "on");
    assert_shows(c, "show server_encoding", "UTF8");
    assert_shows(c, "show lc_collate", "C");
    assert_shows(c, "select lower('\xc3\x84')", "\xc3\xa4");
    assert_shows(c, "show timezone", "UTC");
    assert_shows(c, "show listen_addresses", "");
    assert_shows(c, "show max_connections", "20");
    assert_shows(c, "show jit", "off");
    assert_shows(c, "show client_connection_check_interval", "1s");
    assert_shows(c, "select current_setting('fsync') || current_setting('synchronous_commit')",
                 "onon");
    assert_shows(c, "select count(*)::text from pg_hba_file_rules where auth_method = 'trust'",
                 "0");
    assert_false(connect_as(c, "supabase_admin", "wrong", &db, &e));
    assert_int_equal(e.status, 503);
    run_sql(c, "create table kept (id int); insert into kept values (42)");
    cluster_stop(c, 10000);
    assert_int_equal(postmaster(), 0);
    assert_false(exists("pg.run"));
    int64_t begin = clock_mono_us();
    c = start_it();
    print_message("warm start: %d ms\n", (int)ms_since(begin));
    assert_true(ms_since(begin) < 2000);
    assert_shows(c, "select id::text from kept", "42");
    cluster_stop(c, 10000);
}

static int remove_path(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static void remove_tree(const char *path)
{
    nftw(path, remove_path, 16, FTW_DEPTH | FTW_PHYS);
}

/* The server is killed at several moments of a first start: the next one makes a whole cluster. */
static void test_half_made(void **state)
{
    (void)state;
    char other[150];
    snprintf(other, sizeof other, "%s/half", root);
    struct cluster_config config = config_now();
    config.data_dir = other;
    for (int ms = 5; ms <= 500; ms *= 10) {
        pid_t child = fork();
        if (child == 0) {
            struct cluster *c;
            struct err e;
            _exit(cluster_start(&config, &c, &e));
        }
        char making[200];
        snprintf(making, sizeof making, "%s/pg.new", other);
        for (int i = 0; i < 5000 && !file_now_exists(making); i++)
            usleep(1000);
        usleep((unsigned)ms * 1000); /* no condition: any moment will do */
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    struct cluster *c = start_with(&config);
    assert_shows(c, "select 1::text", "1");
    cluster_stop(c, 10000);
    remove_tree(other);
}

static void test_strange_folder(void **state)
{
    (void)state;
    char other[150], path[200];
    struct err e;
    struct cluster_config config = config_now();
    config.data_dir = "relative";
    assert_refuses(&config, "data_folder", "relative");
    snprintf(other, sizeof other, "%s/strange", root);
    snprintf(path, sizeof path, "%s/pg", other);
    config.data_dir = other;
    assert_true(file_now_mkdirs(path, 0700, &e));
    assert_refuses(&config, "data_folder", other);
    remove_tree(other);
    config.data_dir = "/proc/self/nothing";
    assert_refuses(&config, "file_io", "/proc/self/nothing");
}

static void test_version(void **state)
{
    (void)state;
    char was[100];
    CLEANUP(buf_free) struct buf text;
    struct err e;
    struct cluster_config config = config_now();
    buf_init(&text, 100);
    assert_true(file_now_read(in_data("pg/PG_VERSION"), 100, &text, &e));
    snprintf(was, sizeof was, "%.*s", STR_ARG(buf_view(&text)));
    put("pg/PG_VERSION", "77\n");
    assert_refuses(&config, "postgres_version", "install postgresql-77");
    put("pg/PG_VERSION", was);
    config.bin_dir = "/nonexistent";
    assert_refuses(&config, "postgres_missing", "pg_bin");
}

static void test_find_bin(void **state)
{
    (void)state;
    struct arena a;
    const char *folder = NULL, *again = NULL;
    struct err e;
    arena_init(&a, 1 << 20);
    assert_true(cluster_find_bin(NULL, NULL, &a, &folder, &e));
    assert_true(cluster_find_bin(folder, NULL, &a, &again, &e));
    assert_string_equal(folder, again);
    assert_false(cluster_find_bin("/nonexistent", NULL, &a, &folder, &e));
    assert_string_equal(e.code, "postgres_missing");
    arena_close(&a);
}

/* ---- where it listens ---- */

/* Too long for a socket's address, or with what a connection string would have to quote. */
static void test_long_path(void **state)
{
    (void)state;
    static const char *const names[] = {
        "a folder, with 'signs'",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char other[400], sock[100];
        struct stat st;
        snprintf(other, sizeof other, "%s/%s", root, names[i]);
        assert_int_equal(rename(data, other), 0);
        struct cluster_config config = config_now();
        config.data_dir = other;
        struct cluster *c = start_with(&config);
        assert_shows(c, "select id::text from kept", "42");
        snprintf(sock, sizeof sock, "%s", c->dir.sock);
        assert_true(strncmp(sock, "/tmp/basalt-", 12) == 0);
        assert_int_equal(lstat(sock, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0700);
        cluster_stop(c, 10000);
        assert_int_equal(chmod(sock, 0755), 0); /* as somebody else could have left it */
        assert_refuses(&config, "socket_folder", sock);
        assert_int_equal(rmdir(sock), 0);
        assert_int_equal(rename(other, data), 0);
    }
}

/* A port that was free a moment ago; with keep it stays taken by *fd. */
static int some_port(int *fd)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(*fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(*fd, 1), 0);
    assert_int_equal(getsockname(*fd, (struct sockaddr *)&at, &n), 0);
    return ntohs(at.sin_port);
}

static void test_listen(void **state)
{
    (void)state;
    char where[40], conninfo[200];
    int fd, port = some_port(&fd);
    struct pg_now *db = NULL;
    struct err e;
    snprintf(where, sizeof where, "127.0.0.1:%d", port);
    struct cluster_config config = config_now();
    config.listen = where;
    assert_refuses(&config, "port_in_use", where);
    assert_int_equal(postmaster(), 0);
    close(fd);
    struct cluster *c = start_with(&config);
    run_sql(c, "create role visitor login password 'let me in'");
    snprintf(conninfo, sizeof conninfo,
             "host=127.0.0.1 port=%d dbname=postgres user=visitor password='let me in'", port);
    if (!pg_now_open(conninfo, 5000, &db, &e))
        fail_msg("%s", e.message);
    pg_now_close(&db);
    snprintf(conninfo, sizeof conninfo,
             "host=127.0.0.1 port=%d dbname=postgres user=supabase_admin password='%s'", port,
             password);
    assert_false(pg_now_open(conninfo, 5000, &db, &e)); /* the superuser: socket only */
    run_sql(c, "drop role visitor");
    cluster_stop(c, 10000);
}

static void test_listen_text(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        int port;
    } rows[] = {
        {NULL, "", 5432},      {"", "", 5432},          {"127.0.0.1:5433", "127.0.0.1", 5433},
        {"[::1]:1", "::1", 1}, {"*:65535", "*", 65535}, {"localhost", NULL, 0},
        {":5432", NULL, 0},    {"a,b:5432", NULL, 0},   {"a:0", NULL, 0},
        {"a:65536", NULL, 0},  {"a:b", NULL, 0},        {"a b:5432", NULL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cluster *c = cluster_new();
        struct err e;
        bool ok = set_listen(c, rows[i].text, &e);
        assert_int_equal(ok, rows[i].host != NULL);
        if (ok) {
            assert_string_equal(c->host, rows[i].host);
            assert_int_equal(c->port, rows[i].port);
        }
        cluster_free(c);
    }
}

/* ---- left-overs ---- */

static void test_take_over(void **state)
{
    (void)state;
    struct cluster_config config = config_now();
    start_in_killed_server(&config);
    pid_t was = postmaster();
    int64_t begin = clock_mono_us();
    struct cluster *c = start_it();
    print_message("take-over: %d ms\n", (int)ms_since(begin));
    assert_int_equal(c->pid, was);
    assert_shows(c, "select id::text from kept", "42");
    cluster_stop(c, 10000);
    assert_false(process_alive(was, 0));
}

/* Other settings, or nobody knows whose it is: it is started anew. */
static void test_no_take_over(void **state)
{
    (void)state;
    struct cluster_config config = config_now();
    start_in_killed_server(&config);
    pid_t was = postmaster();
    config.max_connections = 21;
    struct cluster *c = start_with(&config);
    assert_int_not_equal(c->pid, was);
    assert_shows(c, "show max_connections", "21");
    cluster_stop(c, 10000);

    start_in_killed_server(&config);
    was = postmaster();
    put("pg.run", "1 1\n");
    c = start_with(&config);
    assert_int_not_equal(c->pid, was);
    cluster_stop(c, 10000);

    start_in_killed_server(&config);
    was = postmaster();
    put("pg.conf", "# of another program\n");
    c = start_with(&config);
    assert_int_not_equal(c->pid, was);
    cluster_stop(c, 10000);
}

/* Takes connections and answers nothing, until it is woken. */
static void test_stopped_left_over(void **state)
{
    (void)state;
    struct cluster_config config = config_now();
    start_in_killed_server(&config);
    pid_t was = postmaster();
    assert_int_equal(kill(was, SIGSTOP), 0);
    struct cluster *c = start_it();
    assert_int_equal(c->pid, was);
    assert_shows(c, "select id::text from kept", "42");
    assert_int_equal(kill(was, SIGSTOP), 0);
    int64_t begin = clock_mono_us();
    cluster_stop(c, 10000);
    assert_true(ms_since(begin) < 8000);
}

/* The first process that a postmaster has started; 0 where the kernel has no such list. */
static pid_t child_of(pid_t pid)
{
    char path[100];
    pid_t child = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *f = fopen(path, "r");
    if (!f || fscanf(f, "%d", &child) != 1)
        child = 0;
    if (f)
        fclose(f);
    return child;
}

/* One of its processes was killed, too: it recovers when it is taken over. */
static void test_recovering_left_over(void **state)
{
    (void)state;
    struct cluster_config config = config_now();
    for (int i = 0; i < 12; i++) {
        start_in_killed_server(&config);
        pid_t child = child_of(postmaster());
        if (!child || kill(child, SIGKILL) != 0)
            skip();
        usleep((unsigned)i * 5000); /* no condition: any moment will do */
        int64_t begin = clock_mono_us();
        struct cluster *c = start_it();
        assert_true(ms_since(begin) < 4000);
        assert_shows(c, "select id::text from kept", "42");
        child = i % 2 ? child_of(c->pid) : 0;
        if (child)
            kill(child, SIGKILL); /* while it is stopped */
        begin = clock_mono_us();
        cluster_stop(c, 10000);
        assert_true(ms_since(begin) < 5000);
    }
}

static void test_busy_left_over(void **state)
{
    (void)state;
    static const char *const queries[] = {
        "select sum(n) from generate_series(1, 1000000000000) n",
        "select pg_sleep(1000)",
    };
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        struct cluster_config config = config_now();
        struct cluster *c = start_it();
        run_sql(c, "update kept set id = 43; insert into kept select generate_series(1, 100000);");
        pid_t busy = keep_busy(c, queries[i]);
        assert_int_equal(kill(c->pid, SIGKILL), 0);
        int64_t begin = clock_mono_us();
        cluster_stop(c, 10000); /* our child is a zombie until here */
        c = start_with(&config);
        print_message("ready after a killed postmaster and a busy backend: %d ms\n",
                      (int)ms_since(begin));
        assert_true(ms_since(begin) < 2000 * 5); /* 2 s on a machine that does nothing else */
        assert_shows(c, "select count(*)::text from kept", "100001");
        run_sql(c, "truncate kept; insert into kept values (42)");
        waitpid(busy, NULL, 0);
        cluster_stop(c, 10000);
    }
}

/* Server and postmaster killed both, as a machine does that runs out of memory. */
static void test_both_killed(void **state)
{
    (void)state;
    struct cluster_config config = config_now();
    start_in_killed_server(&config);
    pid_t was = postmaster();
    kill(was, SIGKILL);
    struct cluster *c = start_it();
    assert_int_not_equal(c->pid, was);
    assert_shows(c, "select id::text from kept", "42");
    cluster_stop(c, 10000);
}

static void test_two_servers(void **state)
{
    (void)state;
    struct cluster *c = start_it();
    pid_t was = c->pid;
    struct cluster_config config = config_now();
    assert_refuses(&config, "cluster_locked", data);
    assert_true(process_alive(was, 0));
    cluster_stop(c, 10000);
}

static void test_stop_dir(void **state)
{
    (void)state;
    bool was = true;
    struct err e;
    struct cluster_config config = config_now();
    assert_true(cluster_stop_dir("/nonexistent", 1000, &was, &e));
    assert_false(was);
    start_in_killed_server(&config);
    pid_t pid = postmaster();
    assert_true(cluster_stop_dir(data, 10000, &was, &e));
    assert_true(was);
    assert_false(process_alive(pid, 0));
    assert_true(cluster_stop_dir(data, 10000, &was, &e));
    assert_false(was);
    /* a pid file whose number somebody else has now */
    char text[300];
    snprintf(text, sizeof text, "%d\n%s/pg\n1\n5432\n\n\n\nready   \n", (int)getppid(), data);
    put("pg/postmaster.pid", text);
    assert_true(cluster_stop_dir(data, 10000, &was, &e));
    assert_false(was);
    cluster_stop(start_it(), 10000);
}

static void test_broken(void **state)
{
    (void)state;
    struct cluster_config config = config_now();
    char name[100];
    snprintf(name, sizeof name, "pg/global/pg_control");
    char away[300];
    snprintf(away, sizeof away, "%s/control.away", data);
    assert_int_equal(rename(in_data(name), away), 0);
    assert_refuses(&config, "cluster_start", "PostgreSQL does not start: ");
    assert_int_equal(postmaster(), 0);
    assert_int_equal(rename(away, in_data(name)), 0);
    cluster_stop(start_it(), 10000);
}

/* ---- the watch ---- */

static struct {
    struct cluster *c;
    int downs, ups;
    bool failed;
} seen;

static void on_down(void *ctx)
{
    assert_ptr_equal(ctx, &seen);
    seen.downs++;
}

static void on_up(void *ctx)
{
    assert_ptr_equal(ctx, &seen);
    seen.ups++;
}

static bool until(const int *value, int expected)
{
    int64_t end = clock_mono_us() + 20 * CLOCK_S;
    while (*value < expected && clock_mono_us() < end)
        fiber_sleep(1000);
    return *value == expected;
}

/* Killed three times, the last time while a restart is under way; then given up. */
static void watch_fiber(void *arg)
{
    (void)arg;
    cluster_watch(seen.c, on_down, on_up, &seen);
    for (int i = 1; i <= 2; i++) {
        fiber_sleep(20000); /* the watch is posted: any moment after it will do */
        kill(seen.c->pid, SIGKILL);
        int64_t begin = clock_mono_us();
        seen.failed |= !until(&seen.downs, i) || !until(&seen.ups, i);
        print_message("restarted by the watch: %d ms\n", (int)ms_since(begin));
    }
    kill(seen.c->pid, SIGKILL);
    seen.failed |= !until(&seen.downs, 3);
    cluster_unwatch(seen.c);
    loop_stop_all();
}

static void watch_start(void *arg)
{
    fiber_start(watch_fiber, arg);
}

static void test_watch(void **state)
{
    (void)state;
    struct err e;
    seen.c = start_it();
    assert_true(loop_create_all(1, &e));
    loop_post(loop_at(0), watch_start, NULL);
    loop_run_all();
    int64_t begin = clock_mono_us();
    cluster_stop(seen.c, 10000);
    assert_true(ms_since(begin) < 5000);
    assert_false(seen.failed);
    assert_int_equal(seen.downs, 3);
    assert_int_equal(seen.ups, 2);
    assert_int_equal(postmaster(), 0);
}

/* ---- */

/* PostgreSQL refuses root, and so do we; the rest runs as somebody else. */
static void leave_root(void)
{
    const struct passwd *u = getpwnam("nobody");
    if (geteuid() != 0)
        return;
    if (!u || chown(root, u->pw_uid, u->pw_gid) || setgroups(0, NULL)
        || setresgid(u->pw_gid, u->pw_gid, u->pw_gid) || setresuid(u->pw_uid, u->pw_uid, u->pw_uid))
        exit(1);
    prctl(PR_SET_DUMPABLE, 1); /* our own /proc entries are ours again */
}

/* Root starts none, but ends one whose server, of another user, was killed. */
static void test_as_root(void **state)
{
    (void)state;
    bool was = false;
    struct err e;
    struct cluster_config config = config_now();
    assert_refuses(&config, "cluster_root", "root");
    pid_t child = fork();
    if (child == 0) {
        struct cluster *c;
        leave_root();
        if (cluster_start(&config, &c, &e))
            kill(getpid(), SIGKILL);
        _exit(1);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));
    CLEANUP(buf_free) struct buf text; /* without CAP_SYS_PTRACE root sees no more than this */
    buf_init(&text, 1000);
    assert_true(file_now_read(in_data("pg/postmaster.pid"), 1000, &text, &e));
    buf_char(&text, 0);
    pid_t pid = (pid_t)strtol(text.p, NULL, 10);
    assert_true(process_alive(pid, 0));
    assert_true(cluster_stop_dir(data, 10000, &was, &e));
    assert_true(was);
    assert_false(process_alive(pid, 0));
    assert_true(cluster_stop_dir(data, 10000, &was, &e));
    assert_false(was);
}

static int run_as_root(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_root)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

static int run_unprivileged(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find_bin),
        cmocka_unit_test(test_listen_text),
        cmocka_unit_test(test_first_start),
        cmocka_unit_test(test_half_made),
        cmocka_unit_test(test_strange_folder),
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_long_path),
        cmocka_unit_test(test_listen),
        cmocka_unit_test(test_take_over),
        cmocka_unit_test(test_no_take_over),
        cmocka_unit_test(test_stopped_left_over),
        cmocka_unit_test(test_recovering_left_over),
        cmocka_unit_test(test_busy_left_over),
        cmocka_unit_test(test_both_killed),
        cmocka_unit_test(test_two_servers),
        cmocka_unit_test(test_stop_dir),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* In a child, which cannot become root again. */
static int run_in_child(void)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        leave_root();
        exit(run_unprivileged());
    }
    waitpid(child, &status, 0);
    return status;
}

int main(void)
{
    glob_t g;
    if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &g) != 0) {
        fprintf(stderr, "skipped: no PostgreSQL installed\n");
        return 77;
    }
    globfree(&g);
    snprintf(root, sizeof root, "/tmp/basalt-cluster-test.XXXXXX");
    if (!mkdtemp(root))
        return 1;
    snprintf(data, sizeof data, "%s/data", root);
    bool failed = run_in_child() != 0;
    if (geteuid() == 0)
        failed = run_as_root() != 0 || failed;
    bool was = false;
    struct err e;
    if (!cluster_stop_dir(data, 1000, &was, &e) || was) {
        fprintf(stderr, "a cluster was left running\n");
        failed = true;
    }
    remove_tree(root);
    return failed;
}
