/* SPDX-License-Identifier: Apache-2.0 */
#include "process.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "runtime/fiber.h"
#include "runtime/file.h"
#include "runtime/loop.h"

/* A NULL-terminated list of texts, which lives as long as its block. */
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct err err;
static struct buf out;

static int close_out(void **state)
{
    (void)state;
    buf_free(&out);
    return 0;
}

/* Exit code of a shell script, its output in out. */
static int sh(const char *script, struct process_spec *spec)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    struct process_spec s = spec ? *spec : (struct process_spec){0};
    int code = -1;
    s.argv = argv;
    buf_reset(&out);
    if (!process_run(&s, 20000, &out, &code, &err))
        fail_msg("%s: %s", script, err.message);
    return code;
}

static void said(const char *want)
{
    if (!str_is(buf_view(&out), want))
        fail_msg("got <%.*s>, not <%s>", (int)out.n, out.p ? out.p : "", want);
}

/* ---- running ---- */

static void exit_codes(void **state)
{
    (void)state;
    assert_int_equal(sh("exit 0", NULL), 0);
    assert_int_equal(sh("exit 7", NULL), 7);
    assert_int_equal(sh("kill -TERM $$", NULL), 128 + SIGTERM);
}

static void output(void **state)
{
    (void)state;
    assert_int_equal(sh("echo out; echo err >&2; cat", NULL), 0); /* stdin is empty */
    said("out\nerr\n");
    assert_int_equal(sh("head -c 200000 /dev/zero; echo done >&2", NULL), 0);
    assert_int_equal(out.n, RUN_OUTPUT_MAX);
    buf_reset(&out);
    int code = -1;
    struct process_spec s = {.argv = WORDS("/bin/echo", "x")};
    assert_true(process_run(&s, 20000, NULL, &code, &err));
    assert_int_equal(code, 0);
}

static void surroundings(void **state)
{
    const char *const env[] = {"A=b c", "LANG=C", NULL};
    struct process_spec s = {.env = env};
    (void)state;
    setenv("BASALT_TEST_LEAK", "secret", 1);
    assert_int_equal(sh("echo \"$A|$LANG|$BASALT_TEST_LEAK|${PATH:+path}|$(pwd)\"", &s), 0);
    said("b c|C||path|/\n");
    unsetenv("BASALT_TEST_LEAK");
    s = (struct process_spec){.cwd = "/usr"};
    assert_int_equal(sh("echo \"$LANG $(pwd)\"", &s), 0);
    said("C.UTF-8 /usr\n");
}

/* Neither descriptors nor ignored or blocked signals come with it. */
static void nothing_inherited(void **state)
{
    sigset_t block, before;
    (void)state;
    int leak = dup(STDERR_FILENO); /* not close-on-exec */
    sigemptyset(&block);
    sigaddset(&block, SIGTERM);
    sigprocmask(SIG_BLOCK, &block, &before);
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(sh("cd /proc/self/fd && echo *", NULL), 0);
    struct str list = str_trim(str_of(out.p, out.n - 1));
    assert_true(str_is(list, "0 1 2 3")); /* 3: the shell's own, of reading the folder */
    assert_int_equal(sh("kill -TERM $$", NULL), 128 + SIGTERM);
    assert_int_equal(sh("kill -PIPE $$", NULL), 128 + SIGPIPE);
    sigprocmask(SIG_SETMASK, &before, NULL);
    signal(SIGPIPE, SIG_DFL);
    close(leak);
}

static void sessions(void **state)
{
    struct process_spec s = {.new_session = true};
    (void)state;
    assert_int_equal(sh("set -- $(cut -d' ' -f6 /proc/$$/stat); [ $1 = $$ ]", &s), 0);
    assert_int_equal(sh("set -- $(cut -d' ' -f6 /proc/$$/stat); [ $1 = $$ ]", NULL), 1);
}

static void not_started(void **state)
{
    struct process_spec s = {.argv = WORDS("/nowhere/x")};
    int code = -1;
    pid_t pid = -1;
    (void)state;
    assert_false(process_run(&s, 1000, NULL, &code, &err));
    assert_string_equal(err.message, "cannot start /nowhere/x: No such file or directory");
    assert_false(process_spawn(&s, &pid, &err));
    assert_int_equal(pid, -1);
    s = (struct process_spec){.argv = WORDS("/bin/true"), .cwd = "/nowhere"};
    assert_false(process_spawn(&s, &pid, &err));
}

static void late(void **state)
{
    struct process_spec s = {.argv = WORDS("/bin/sleep", "60")};
    int code = -1;
    (void)state;
    int64_t begin = clock_mono_us();
    assert_false(process_run(&s, 50, NULL, &code, &err));
    assert_int_equal(err.status, 504);
    assert_int_equal(code, -1);
    assert_true(clock_mono_us() - begin < 10 * CLOCK_S);
    s.new_session = true; /* with all that it started */
    s.argv = WORDS("/bin/sh", "-c", "sleep 61 & wait");
    assert_false(process_run(&s, 200, NULL, &code, &err));
}

/* The end of the child is the end, although what it left holds the output open. */
static void background(void **state)
{
    (void)state;
    int64_t begin = clock_mono_us();
    assert_int_equal(sh("sleep 30 & echo $!", NULL), 0);
    assert_true(clock_mono_us() - begin < 15 * CLOCK_S);
    int64_t left = 0;
    assert_true(str_to_i64(str_of(out.p, out.n - 1), &left) && left > 1);
    kill((pid_t)left, SIGKILL);
}

static void spawned(void **state)
{
    int ends[2], code = -1;
    char text[16] = {0};
    pid_t pid = 0;
    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct process_spec s = {.argv = WORDS("/bin/sh", "-c", "echo hi; exit 3"), .out_fd = ends[1]};
    assert_true(process_spawn(&s, &pid, &err));
    close(ends[1]);
    assert_int_equal(read(ends[0], text, sizeof(text)), 3);
    close(ends[0]);
    assert_true(process_wait(pid, 20000, &code));
    assert_int_equal(code, 3);
    s = (struct process_spec){.argv = WORDS("/bin/sleep", "60"), .out_fd = -1};
    assert_true(process_spawn(&s, &pid, &err));
    assert_false(process_wait(pid, 20, &code));
    kill(pid, SIGKILL);
    assert_true(process_wait(pid, 20000, &code));
    assert_int_equal(code, 128 + SIGKILL);
    assert_true(process_wait(pid, 0, &code)); /* long gone */
    assert_int_equal(code, -1);
}

/* ---- other processes ---- */

static void stat_lines(void **state)
{
    uint64_t start = 0;
    (void)state;
#define AFTER " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21\n"
    assert_true(parse_stat(S("12 (sh) S" AFTER), &start));
    assert_int_equal(start, 4711);
    start = 0;
    assert_true(parse_stat(S("12 (a) R 1 (b) c) S" AFTER), &start));
    assert_int_equal(start, 4711);
    assert_false(parse_stat(S("12 (sh) Z" AFTER), &start));
    assert_false(parse_stat(S("12 (sh) X" AFTER), &start));
    assert_false(parse_stat(S("12 (sh) S 1 2 3"), &start));
    assert_false(parse_stat(S("12 (sh)"), &start));
    assert_false(parse_stat(S("12 (sh"), &start));
    assert_false(parse_stat(S(""), &start));
}

static void looked_at(void **state)
{
    char self[4096], exe[4096];
    uint64_t start = 0, again = 0;
    (void)state;
    assert_true(process_start_time(getpid(), &start) && start > 0);
    assert_true(process_alive(getpid(), 0));
    assert_true(process_alive(getpid(), start));
    assert_false(process_alive(getpid(), start + 1));
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[n] = '\0';
    assert_true(process_exe(getpid(), exe, sizeof(exe)));
    assert_string_equal(exe, self);
    assert_false(process_exe(getpid(), exe, (size_t)n)); /* no room for the NUL */
    for (pid_t bad = -1; bad <= 0; bad++)
        assert_false(process_start_time(bad, &again) || process_exe(bad, exe, sizeof(exe)));
}

static void zombies_are_dead(void **state)
{
    char exe[64];
    uint64_t start;
    int code = -1;
    (void)state;
    pid_t pid = fork();
    if (pid == 0)
        _exit(5);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_false(process_start_time(pid, &start));
    assert_false(process_exe(pid, exe, sizeof(exe)));
    assert_false(process_alive(pid, 0));
    assert_true(process_wait(pid, 0, &code));
    assert_int_equal(code, 5);
}

static void replaced_executable(void **state)
{
    char dir[] = "/tmp/basalt-exe-XXXXXX", path[64], exe[4096];
    CLEANUP(buf_free) struct buf b = {0};
    pid_t pid = 0;
    int code;
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/sleeper", dir);
    buf_init(&b, 64 << 20);
    assert_true(file_now_read("/bin/sleep", 64 << 20, &b, &err));
    assert_true(file_now_write(path, buf_view(&b), 0755, &err));
    struct process_spec s = {.argv = WORDS(path, "60"), .out_fd = -1};
    assert_true(process_spawn(&s, &pid, &err));
    unlink(path);
    rmdir(dir);
    assert_true(process_exe(pid, exe, sizeof(exe)));
    assert_string_equal(exe, path);
    kill(pid, SIGKILL);
    assert_true(process_wait(pid, 20000, &code));
}

/* ---- watching ---- */

static struct process_watch *watch;
static int ended;

static void on_end(void *ctx)
{
    assert_ptr_equal(ctx, &ended);
    assert_null(fiber_current());
    ended++;
    process_watch_close(watch); /* allowed here */
    loop_stop_all();
}

static void begin_watch(void *arg)
{
    pid_t pid = *(pid_t *)arg;
    struct process_watch *other = NULL;
    assert_true(process_watch_open(pid, on_end, &ended, &watch, &err));
    assert_true(process_watch_open(pid, on_end, NULL, &other, &err));
    process_watch_close(other); /* never called */
    process_watch_close(NULL);
    kill(pid, SIGKILL);
}

static void watched(void **state)
{
    struct process_spec s = {.argv = WORDS("/bin/sleep", "60"), .out_fd = -1};
    pid_t pid = 0;
    int code = -1;
    (void)state;
    assert_true(process_spawn(&s, &pid, &err));
    assert_true(loop_create_all(1, &err));
    loop_post(loop_at(0), begin_watch, &pid);
    loop_run_all();
    assert_int_equal(ended, 1);
    assert_true(process_wait(pid, 0, &code));
    assert_false(process_watch_open(pid, on_end, NULL, &watch, &err));
    assert_string_equal(err.code, "process_gone");
}

/* ---- rights ---- */

static void parents(void **state)
{
    static const char *const cases[][2] = {{"/a/b", "/a"}, {"/a/b/", "/a"}, {"/a//b", "/a"},
                                           {"/a", "/"},    {"a/b", "a"},    {"a", "."},
                                           {"a/", "."}};
    char path[32];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(path, sizeof(path), "%s", cases[i][0]);
        assert_true(to_parent(path));
        assert_string_equal(path, cases[i][1]);
    }
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s", ((const char *[]){"/", ".", ""})[i]);
        assert_false(to_parent(path));
    }
}

static void names(void **state)
{
    (void)state;
    assert_true(name_valid("basalt"));
    assert_true(name_valid("_b-2"));
    const char *const bad[] = {
        "", "-x", "2b", "Root", "a b", "a:b", "a/b", "a$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct process_user u;
        assert_false(process_user_ensure(bad[i], &u, &err));
        assert_string_equal(err.code, "user_invalid");
    }
}

static void users_there(void **state)
{
    struct process_user u = {1, 1};
    (void)state;
    assert_false(process_user_ensure("root", &u, &err));
    assert_string_equal(err.code, "user_invalid");
    assert_int_equal(u.uid, 1);
    assert_true(process_user_ensure("nobody", &u, &err));
    assert_true(u.uid > 1);
}

/* What only root can try: the folders that start-up meets. */
static void usable_folders(void **state)
{
    char dir[] = "/tmp/basalt-user-XXXXXX", path[64];
    struct process_user u;
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_true(process_user_ensure("nobody", &u, &err));
    assert_non_null(mkdtemp(dir)); /* 0700, root's */
    snprintf(path, sizeof(path), "%s/in/it", dir);
    assert_false(process_user_can_write(&u, dir));
    assert_false(process_user_can_write(&u, path));
    assert_int_equal(chmod(dir, 0755), 0);
    assert_false(process_user_can_write(&u, dir));
    assert_true(process_user_can_write(&u, path)); /* root can make it there for the user */
    assert_int_equal(chown(dir, u.uid, u.gid), 0);
    assert_int_equal(chmod(dir, 0700), 0);
    assert_true(process_user_can_write(&u, dir));
    assert_true(process_user_can_write(&u, path));
    assert_false(process_user_can_write(&u, "/etc/passwd/x"));
    assert_false(process_user_can_write(&u, "/etc/passwd"));
    assert_false(process_user_can_write(&u, ""));
    rmdir(dir);
}

static void usable_without_root(void **state)
{
    char missing[] = "/tmp/basalt/is/not/there", there[] = "/tmp";
    (void)state;
    assert_true(path_usable(there, false));
    assert_true(path_usable(missing, false));
    assert_string_equal(missing, "/tmp");
}

/* In a child, as nothing leads back; its exit code says how far it came. */
static int become_in_child(void)
{
    struct process_user u = {0};
    gid_t groups[GROUPS_MAX];
    if (process_become(&u, &err) || !process_user_ensure("nobody", &u, &err))
        return 1;
    if (!process_become(&u, &err))
        return 2;
    if (strcmp(getenv("HOME"), "/nonexistent") != 0) /* nobody's */
        return 7;
    if (getuid() != u.uid || geteuid() != u.uid || getgid() != u.gid || setuid(0) == 0
        || seteuid(0) == 0)
        return 3;
    int n = getgroups(GROUPS_MAX, groups);
    for (int i = 0; i < n; i++) {
        if (groups[i] == 0)
            return 4;
    }
    if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 5;
    struct process_user other = {u.uid + 1, u.gid};
    if (process_become(&other, &err) || !process_become(&u, &err)) /* again is no error */
        return 6;
    return 0;
}

static void becomes(void **state)
{
    int status = -1;
    (void)state;
    if (geteuid() != 0)
        skip();
    pid_t pid = fork();
    if (pid == 0)
        _exit(become_in_child());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* ---- descriptors ---- */

static void files_raised(void **state)
{
    struct rlimit before, low, now;
    (void)state;
    getrlimit(RLIMIT_NOFILE, &before);
    low = (struct rlimit){40, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_int_equal(process_files_raise(30), 40); /* never lowered */
    assert_int_equal(process_files_raise(60), 60);
    getrlimit(RLIMIT_NOFILE, &now);
    assert_int_equal(now.rlim_cur, 60);
    assert_true(now.rlim_max == before.rlim_max);
    unsigned most = process_files_raise(UINT_MAX); /* more than the kernel has for anybody */
    assert_true(before.rlim_max == RLIM_INFINITY || most == before.rlim_max);
    setrlimit(RLIMIT_NOFILE, &before);
}

static int begun_in_child(void)
{
    sigset_t all, now;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    signal(SIGCHLD, SIG_IGN);
    close(0);
    close(1);
    process_begin();
    int fd = open("/dev/zero", O_RDONLY);
    if (fd <= 2 || write(1, "x", 1) != 1 || read(0, &fd, 1) != 0)
        return 1;
    sigprocmask(SIG_SETMASK, NULL, &now);
    if (sigismember(&now, SIGTERM) || sigismember(&now, SIGCHLD))
        return 2;
    return sh("exit 7", NULL) == 7 ? 0 : 3;
}

static void begins(void **state)
{
    int status = -1;
    (void)state;
    pid_t pid = fork();
    if (pid == 0)
        _exit(begun_in_child());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void owners(void **state)
{
    uid_t uid = 12345;
    (void)state;
    assert_true(process_owner(getpid(), &uid));
    assert_int_equal(uid, geteuid());
    assert_false(process_owner(0, &uid));
    assert_false(process_owner(INT_MAX, &uid));
    assert_true(parse_owner(S("Name:\tx\nUid:\t1\t22\t3\t4\nGid:\t5\n"), &uid));
    assert_int_equal(uid, 22);
    assert_false(parse_owner(S("Name:\tUid:\t1\t22\n"), &uid));
}

int main(void)
{
    buf_init(&out, 1 << 20);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exit_codes),
        cmocka_unit_test(output),
        cmocka_unit_test(surroundings),
        cmocka_unit_test(nothing_inherited),
        cmocka_unit_test(sessions),
        cmocka_unit_test(not_started),
        cmocka_unit_test(late),
        cmocka_unit_test(background),
        cmocka_unit_test(spawned),
        cmocka_unit_test(stat_lines),
        cmocka_unit_test(looked_at),
        cmocka_unit_test(zombies_are_dead),
        cmocka_unit_test(replaced_executable),
        cmocka_unit_test(watched),
        cmocka_unit_test(parents),
        cmocka_unit_test(names),
        cmocka_unit_test(users_there),
        cmocka_unit_test(usable_folders),
        cmocka_unit_test(usable_without_root),
        cmocka_unit_test(becomes),
        cmocka_unit_test(files_raised),
        cmocka_unit_test(begins),
        cmocka_unit_test(owners),
    };
    return cmocka_run_group_tests(tests, NULL, close_out);
}
