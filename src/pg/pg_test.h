/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of pg/: a scratch PostgreSQL of its own on a Unix socket, run by an unprivileged
 * user and ended by its process id, and a way to run cmocka inside a fiber of loop 0, so that a test
 * can wait as a request does. Only the main fiber asserts; others leave what they saw in variables.
 */
#ifndef PG_PG_TEST_H
#define PG_PG_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "pg/pg_now.h"
#include "pg/pg_tx.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"

static struct {
    char dir[64], bin[200], conninfo[300];
    pid_t pid;
} test_pg;

/* In the child: never root, and never left behind by a test that crashed. */
static inline void test_pg_exec(const char *const *argv)
{
    const struct passwd *u = getuid() == 0 ? getpwnam("nobody") : NULL;
    char log[100];
    snprintf(log, sizeof log, "%s/log", test_pg.dir);
    if (u && (setgroups(0, NULL) || setgid(u->pw_gid) || setuid(u->pw_uid)))
        _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    setpgid(0, 0);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0 || chdir("/"))
        _exit(125);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

static inline pid_t test_pg_spawn(const char *const *argv)
{
    pid_t pid = fork();
    if (pid == 0)
        test_pg_exec(argv);
    return pid;
}

static inline bool test_pg_bin(void)
{
    glob_t g;
    bool found = glob("/usr/lib/postgresql/*/bin", 0, NULL, &g) == 0 && g.gl_pathc > 0;
    if (found)
        snprintf(test_pg.bin, sizeof test_pg.bin, "%s", g.gl_pathv[g.gl_pathc - 1]);
    globfree(&g);
    return found;
}

static inline void test_pg_start_server(void)
{
    char exe[256], data[100];
    snprintf(exe, sizeof exe, "%s/postgres", test_pg.bin);
    snprintf(data, sizeof data, "%s/data", test_pg.dir);
    const char *const argv[] = {exe,
                                "-D",
                                data,
                                "-k",
                                test_pg.dir,
                                "-c",
                                "listen_addresses=",
                                "-c",
                                "fsync=off",
                                "-c",
                                "shared_buffers=16MB",
                                "-c",
                                "max_connections=40",
                                "-c",
                                "autovacuum=off",
                                NULL};
    test_pg.pid = test_pg_spawn(argv);
    struct pg_now *c = NULL;
    struct err e;
    int64_t until = clock_mono_us() + 20 * CLOCK_S;
    while (!pg_now_open(test_pg.conninfo, 2000, &c, &e) && clock_mono_us() < until)
        usleep(10000);
    if (!c) {
        fprintf(stderr, "the scratch PostgreSQL does not start: %s\n", e.message);
        exit(1);
    }
    pg_now_close(&c);
}

static inline void test_pg_stop_server(int signo)
{
    kill(test_pg.pid, signo);
    waitpid(test_pg.pid, NULL, 0);
}

static inline void test_pg_stop(void)
{
    const char *const argv[] = {"/bin/rm", "-rf", test_pg.dir, NULL};
    if (test_pg.pid > 0)
        test_pg_stop_server(SIGQUIT);
    waitpid(test_pg_spawn(argv), NULL, 0);
    rmdir(test_pg.dir);
}

/* Exits with 77 (skipped) where there is no PostgreSQL. */
static inline void test_pg_start(void)
{
    char exe[256], data[100];
    int status = -1;
    if (!test_pg_bin()) {
        fprintf(stderr, "skipped: no PostgreSQL installed\n");
        exit(77);
    }
    snprintf(test_pg.dir, sizeof test_pg.dir, "/tmp/basalt-pg-test.XXXXXX");
    const struct passwd *u = getuid() == 0 ? getpwnam("nobody") : NULL;
    if (!mkdtemp(test_pg.dir) || (u && chown(test_pg.dir, u->pw_uid, u->pw_gid)))
        exit(1);
    snprintf(exe, sizeof exe, "%s/initdb", test_pg.bin);
    snprintf(data, sizeof data, "%s/data", test_pg.dir);
    snprintf(test_pg.conninfo, sizeof test_pg.conninfo, "host=%s user=tester dbname=postgres",
             test_pg.dir);
    const char *const argv[] = {exe,     "-D", data,   "-U",         "tester",    "-A",
                                "trust", "-E", "UTF8", "--locale=C", "--no-sync", NULL};
    waitpid(test_pg_spawn(argv), &status, 0);
    if (status != 0) {
        fprintf(stderr, "initdb failed\n");
        exit(1);
    }
    atexit(test_pg_stop);
    test_pg_start_server();
}

/* Runs a script as superuser, blocking; for setting up before the loops run, or from a fiber for a moment. */
static inline void test_pg_script(const char *sql)
{
    struct pg_now *c = NULL;
    struct err e = {0};
    if (!pg_now_open(test_pg.conninfo, 5000, &c, &e) || !pg_now_script(c, sql, NULL, &e)) {
        fprintf(stderr, "%s\n", e.message);
        abort();
    }
    pg_now_close(&c);
}

/* First column of the first row as a number, blocking. */
static inline int64_t test_pg_number(const char *sql)
{
    struct pg_now *c = NULL;
    struct pg_result *r = NULL;
    struct err e = {0};
    if (!pg_now_open(test_pg.conninfo, 5000, &c, &e) || !pg_now_query(c, sql, NULL, 0, &r, &e)) {
        fprintf(stderr, "%s\n", e.message);
        abort();
    }
    int64_t v = pg_row_count(r) ? pg_row_i64(r, 0, 0) : -1;
    pg_now_free(&r);
    pg_now_close(&c);
    return v;
}

/* The postmaster and its children, which have sessions of their own. */
static inline void test_pg_signal_all(int signo)
{
    char path[64], text[4096] = "";
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)test_pg.pid, (int)test_pg.pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    kill(test_pg.pid, signo);
    struct str list = str_of(text, n > 0 ? (size_t)n : 0), one;
    for (bool more = true; more;) {
        int64_t pid;
        more = str_cut(list, ' ', &one, &list);
        if (str_to_i64(one, &pid) && pid > 1)
            kill((pid_t)pid, signo);
    }
}

/* Waits, as a fiber, for a condition; false after five seconds. */
#define TEST_UNTIL(cond)                                \
    ({                                                  \
        int64_t until_ = clock_mono_us() + 5 * CLOCK_S; \
        bool met_ = (cond);                             \
        while (!met_ && clock_mono_us() < until_) {     \
            fiber_sleep(2000);                          \
            met_ = (cond);                              \
        }                                               \
        met_;                                           \
    })

static int test_failures;
static int (*test_body)(void);

static inline void test_main_fiber(void *arg)
{
    (void)arg;
    test_failures = test_body();
    loop_stop_all();
}

static inline void test_begin(void *arg)
{
    fiber_start(test_main_fiber, arg);
}

/* body() runs in a fiber of loop 0 and gives back what cmocka_run_group_tests said. */
static inline int test_run(unsigned loops, int (*body)(void))
{
    struct err e;
    test_body = body;
    if (!loop_create_all(loops, &e)) {
        fprintf(stderr, "%s\n", e.message);
        return 1;
    }
    loop_post(loop_at(0), test_begin, NULL);
    loop_run_all();
    return test_failures;
}

#endif
