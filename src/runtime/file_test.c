/* SPDX-License-Identifier: Apache-2.0 */
#include "file.c"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/clock.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"

/* ---- a folder of our own, and a loop that runs one function as a fiber ---- */

static char folder[64];
static struct err err;

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static int make_test_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/basalt-file-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_test_folder(void **state)
{
    char path[PATH_BYTES];
    (void)state;
    DIR *d = opendir(folder);
    for (struct dirent *entry; d && (entry = readdir(d));) {
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        remove(path);
    }
    closedir(d);
    return rmdir(folder);
}

static void (*body)(void);

static void fiber_main(void *arg)
{
    (void)arg;
    body();
    loop_stop_all();
}

static void begin(void *arg)
{
    fiber_start(fiber_main, arg);
}

static void on_a_loop(void (*fn)(void))
{
    body = fn;
    assert_true(loop_create_all(1, &err));
    assert_true(file_pool_open(&err));
    loop_post(loop_at(0), begin, NULL);
    loop_run_all();
    file_pool_close();
}

/* ---- from fibers ---- */

static void write_and_read(void)
{
    CLEANUP(arena_close) struct arena a;
    struct str got = {0};
    int fd = -1;
    arena_init(&a, 4 << 20);
    assert_true(file_open_unlinked(str_from(folder), &fd, &err));
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_true(file_write_at(fd, S("hello "), 0, &err));
    assert_true(file_write_at(fd, S("world"), 6, &err));
    assert_true(file_read_at(fd, 5, 6, &a, &got, &err));
    assert_true(str_is(got, "world"));
    assert_true(file_read_at(fd, 100, 6, &a, &got, &err)); /* up to the end */
    assert_true(str_is(got, "world"));
    assert_true(file_read_at(fd, 100, 50, &a, &got, &err)); /* beyond it */
    assert_true(got.p && got.n == 0);
    assert_true(file_read_at(fd, 0, 0, &a, &got, &err));
    assert_int_equal(got.n, 0);
    assert_true(file_write_at(fd, (struct str){0}, 0, &err));

    size_t n = (1 << 20) + 7; /* more than is read on the loop */
    char *large = malloc(n);
    memset(large, 'x', n);
    large[n - 1] = 'y';
    assert_true(file_write_at(fd, str_of(large, n), 0, &err));
    assert_true(file_read_at(fd, n + 10, 0, &a, &got, &err));
    assert_true(str_eq(got, str_of(large, n)));
    free(large);
    file_close(fd);
}

static void writes_and_reads(void **state)
{
    (void)state;
    on_a_loop(write_and_read);
}

static void fail_well(void)
{
    CLEANUP(arena_close) struct arena a;
    struct str got = {0};
    int fd = -1;
    arena_init(&a, 4096);
    assert_false(file_open_unlinked(S("/nowhere/at/all"), &fd, &err));
    assert_int_equal(err.status, 500);
    assert_string_equal(err.code, "file_io");
    assert_null(strstr(err.message, "nowhere")); /* for the log only */
    assert_int_equal(fd, -1);
    assert_false(file_write_at(-1, S("x"), 0, &err));
    assert_string_equal(err.code, "file_io");
    assert_false(file_read_at(-1, 10, 0, &a, &got, &err));
    assert_string_equal(err.code, "file_io");
    assert_true(file_open_unlinked(str_from(folder), &fd, &err));
    assert_false(file_read_at(fd, 1 << 20, 0, &a, &got, &err)); /* over the arena's budget */
    assert_null(got.p);
    file_close(fd);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    assert_false(file_write_at(full, S("x"), 0, &err));
    assert_int_equal(err.status, 507);
    assert_string_equal(err.code, "disk_full");
    file_close(full);
}

static void failures(void **state)
{
    (void)state;
    on_a_loop(fail_well);
}

/* A write that its fiber gave up reaches the file it was meant for, whatever has that number now. */
static void give_up(void)
{
    int fd = -1, taken = -1;
    enum { SIZE = 8 << 20 };
    char *large = calloc(1, SIZE);
    assert_true(file_open_unlinked(str_from(folder), &fd, &err));
    fiber_set_deadline(clock_mono_us() + 200); /* while the thread is at it, as a rule */
    bool late = !file_write_at(fd, str_of(large, SIZE), 0, &err);
    assert_true(!late || str_is(str_from(err.code), "request_timeout"));
    close(fd);
    taken = open(in_folder("innocent"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(taken, fd);
    fiber_set_deadline(FIBER_NEVER);
    int other = -1; /* a whole round through the same pool */
    for (int i = 0; i < 4 * HALF_THREADS; i++) {
        assert_true(file_open_unlinked(str_from(folder), &other, &err));
        file_close(other);
    }
    assert_int_equal(lseek(taken, 0, SEEK_END), 0);
    close(taken);
    free(large);
}

static int descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void gives_up(void **state)
{
    (void)state;
    int before = descriptors();
    on_a_loop(give_up);
    assert_int_equal(descriptors(), before);
}

static void fall_back(void **state)
{
    char path[PATH_BYTES];
    (void)state;
    snprintf(path, sizeof(path), "%s", folder);
    int fd = open_and_unlink(path);
    assert_true(fd >= 0);
    assert_false(file_now_exists(path));
    close(fd);
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(open_and_unlink(path), -1);
}

/* ---- at start-up ---- */

static void now_reads_and_writes(void **state)
{
    CLEANUP(buf_free) struct buf b = {0};
    struct stat st;
    (void)state;
    buf_init(&b, 100000);
    const char *path = in_folder("now");
    assert_false(file_now_exists(path));
    assert_false(file_now_read(path, 100, &b, &err));
    assert_int_equal(err.status, 404);
    assert_string_equal(err.code, "file_missing");
    mode_t was = umask(077);
    assert_true(file_now_write(path, S("one"), 0644, &err));
    assert_true(file_now_write(path, S("two"), 0640, &err));
    umask(was);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_true(file_now_exists(path));
    buf_char(&b, '>');
    assert_true(file_now_read(path, 3, &b, &err));
    assert_true(str_is(buf_view(&b), ">two"));
    assert_false(file_now_read(path, 2, &b, &err)); /* larger than asked for */
    assert_true(str_is(buf_view(&b), ">two"));
    assert_false(file_now_read(folder, 100, &b, &err)); /* a folder */
    assert_int_equal(err.status, 500);
}

static void now_replaces_whole_or_not(void **state)
{
    CLEANUP(buf_free) struct buf b = {0};
    char path[128], path_new[140];
    (void)state;
    buf_init(&b, 1000);
    snprintf(path, sizeof(path), "%s", in_folder("whole"));
    snprintf(path_new, sizeof(path_new), "%s.new", path);
    assert_true(file_now_write(path, S("old"), 0600, &err));
    assert_int_equal(symlink(in_folder("elsewhere"), path_new),
                     0); /* what a crash, or worse, left */
    struct rlimit before, small = {2, RLIM_INFINITY};
    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    bool ok = file_now_write(path, S("new and longer"), 0600, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_false(ok);
    assert_false(file_now_exists(path_new));
    assert_false(file_now_exists(in_folder("elsewhere")));
    assert_true(file_now_read(path, 100, &b, &err));
    assert_true(str_is(buf_view(&b), "old"));
    assert_false(file_now_write(in_folder("no/folder"), S("x"), 0600, &err));
    assert_non_null(strstr(err.message, "no/folder: No such file or directory"));
}

/* `basalt key renew` as root must not leave a file that the server cannot read. */
static void now_gives_to_owner(void **state)
{
    struct stat st;
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_true(file_now_mkdirs(in_folder("theirs"), 0700, &err));
    assert_int_equal(chown(in_folder("theirs"), 65534, 65533), 0);
    assert_true(file_now_write(in_folder("theirs/file"), S("x"), 0600, &err));
    assert_int_equal(stat(in_folder("theirs/file"), &st), 0);
    assert_int_equal(st.st_uid, 65534);
    assert_int_equal(st.st_gid, 65533);
    assert_int_equal(st.st_mode & 07777, 0600);
    unlink(in_folder("theirs/file"));
    rmdir(in_folder("theirs"));
}

static void now_makes_folders(void **state)
{
    struct stat st;
    char path[160];
    (void)state;
    snprintf(path, sizeof(path), "%s//a/b/c/", folder);
    mode_t was = umask(077);
    assert_true(file_now_mkdirs(path, 0755, &err));
    umask(was);
    assert_true(file_now_mkdirs(path, 0700, &err)); /* there already: left as it is */
    assert_int_equal(stat(in_folder("a/b"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_true(file_now_write(in_folder("a/b/file"), S(""), 0600, &err));
    assert_false(file_now_mkdirs(in_folder("a/b/file/d"), 0755, &err));
    assert_non_null(strstr(err.message, "Not a directory"));
    assert_false(file_now_mkdirs("", 0755, &err));
    assert_true(file_now_mkdirs("/", 0755, &err));
    unlink(in_folder("a/b/file"));
    rmdir(in_folder("a/b/c"));
    rmdir(in_folder("a/b"));
}

static void folders_of(void **state)
{
    char out[PATH_BYTES];
    (void)state;
    folder_of("a/b", out);
    assert_string_equal(out, "a");
    folder_of("/a", out);
    assert_string_equal(out, "/");
    folder_of("a", out);
    assert_string_equal(out, ".");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_and_reads),
        cmocka_unit_test(failures),
        cmocka_unit_test(gives_up),
        cmocka_unit_test(fall_back),
        cmocka_unit_test(now_reads_and_writes),
        cmocka_unit_test(now_replaces_whole_or_not),
        cmocka_unit_test(now_gives_to_owner),
        cmocka_unit_test(now_makes_folders),
        cmocka_unit_test(folders_of),
    };
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
