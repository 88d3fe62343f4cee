/* SPDX-License-Identifier: Apache-2.0 */
/* Writer, recovery and reader together, on a real folder. */
#include "audit/journal.c"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "runtime/file.h"

static char dir[64];

static int fresh(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/journal_test_XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int removed(void **state)
{
    char path[512];
    DIR *d = opendir(dir);
    (void)state;
    for (const struct dirent *entry; (entry = readdir(d));) {
        snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        unlink(path);
    }
    closedir(d);
    return rmdir(dir);
}

static void open_journal(int64_t file_bytes, int64_t max_bytes)
{
    struct err e = {0};
    struct journal_config c = {.dir = dir, .file_bytes = file_bytes, .max_bytes = max_bytes};
    assert_true(journal_open(&c, &e));
}

static void push(const char *record)
{
    assert_true(journal_push(str_from(record)));
}

static void push_many(int n)
{
    for (int i = 0; i < n; i++)
        push("{\"name\":\"login_failed\"}");
}

struct count {
    unsigned lines, files, bad;
    uint64_t last;
    size_t rest;
};

static struct count count_all(void)
{
    struct count c = {0};
    struct journal_reader r;
    struct journal_line line;
    struct err e = {0};
    journal_reader_open(&r, dir, 0);
    do {
        enum journal_found found;
        while ((found = journal_reader_next(&r, &line, &e)) != JOURNAL_FOUND_END) {
            c.bad += found == JOURNAL_FOUND_BAD;
            c.files += found == JOURNAL_FOUND_HEAD;
            c.lines += found == JOURNAL_FOUND_LINE;
            if (found == JOURNAL_FOUND_LINE)
                assert_true(line.sequence > c.last);
            if (found == JOURNAL_FOUND_LINE)
                c.last = line.sequence;
        }
        c.rest += journal_reader_rest(&r);
    } while (journal_reader_follow(&r, &e));
    assert_int_equal(e.status, 0);
    journal_reader_close(&r);
    return c;
}

static void path_of(char out[JOURNAL_PATH_MAX], uint64_t file, const char *ending)
{
    journal_reader_path(out, dir, file, ending);
}

static void keeps_the_chain_over_files_and_starts(void **state)
{
    char path[JOURNAL_PATH_MAX];
    struct stat st;
    (void)state;
    for (int round = 0; round < 3; round++) {
        open_journal(400, 1 << 20);
        uint64_t before = journal_synced();
        assert_int_equal(before, round * 20);
        for (int i = 0; i < 20; i++) {
            push_many(1);
            journal_wait(before + (uint64_t)i, clock_mono_us() + 5 * CLOCK_S);
            assert_int_equal(journal_synced(), before + (uint64_t)i + 1);
        }
        assert_int_equal(journal_dropped(), 0);
        journal_close(5000);
    }
    struct count c = count_all();
    assert_int_equal(c.lines, 60);
    assert_int_equal(c.last, 60);
    assert_int_equal(c.bad, 0);
    assert_true(c.files > 10);
    path_of(path, 1, "journal");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

/* Every length that a torn write may leave: what was whole stays, the rest goes, the chain holds. */
static void cuts_a_torn_tail(void **state)
{
    char path[JOURNAL_PATH_MAX], damaged[JOURNAL_PATH_MAX];
    CLEANUP(buf_free) struct buf whole = {.max_bytes = 1 << 20};
    struct err e = {0};
    (void)state;
    open_journal(1 << 20, 1 << 20);
    push("{\"name\":\"one\"}");
    push("{\"name\":\"two\"}");
    push("{\"name\":\"three\"}");
    journal_close(5000);
    path_of(path, 1, "journal");
    path_of(damaged, 1, "damaged");
    assert_true(file_now_read(path, 1 << 20, &whole, &e));
    for (size_t n = 0; n < whole.n; n++) {
        assert_true(file_now_write(path, str_of(whole.p, n), 0600, &e));
        struct journal_state s;
        assert_true(journal_recovery_run(dir, &s, &e));
        struct count c = count_all();
        assert_int_equal(c.bad, 0);
        assert_int_equal(c.rest, 0);
        assert_int_equal(c.lines, s.records);
        assert_int_equal(c.last, s.sequence);
        assert_false(file_now_exists(damaged));
    }
    buf_reserve(&whole, 100);
    memset(whole.p + whole.n, 0, 100); /* as after a power cut */
    assert_true(file_now_write(path, str_of(whole.p, whole.n + 100), 0600, &e));
    struct journal_state s;
    assert_true(journal_recovery_run(dir, &s, &e));
    assert_int_equal(s.sequence, 3);
    assert_false(file_now_exists(damaged));
}

/* Each flipped byte of a file is seen, before a restart and after it. */
static void finds_every_flipped_byte(void **state)
{
    char path[JOURNAL_PATH_MAX], damaged[JOURNAL_PATH_MAX], next[JOURNAL_PATH_MAX];
    CLEANUP(buf_free) struct buf whole = {.max_bytes = 1 << 20};
    struct err e = {0};
    (void)state;
    open_journal(1 << 20, 1 << 20);
    push("{\"name\":\"one\"}");
    push("{\"name\":\"two\"}");
    journal_close(5000);
    path_of(path, 1, "journal");
    path_of(damaged, 1, "damaged");
    path_of(next, 2, "journal");
    assert_true(file_now_read(path, 1 << 20, &whole, &e));
    for (size_t i = 0; i < whole.n; i++) {
        whole.p[i] ^= 1;
        assert_true(file_now_write(path, buf_view(&whole), 0600, &e));
        struct count c = count_all();
        assert_true(c.bad > 0 || c.rest > 0);
        if (i % 7 != 0
            && i + 100 < whole.n) { /* restarts take their time: all of the last line's bytes */
            whole.p[i] ^= 1;
            continue;
        }
        open_journal(1 << 20, 1 << 20);
        push("{\"name\":\"after\"}");
        journal_close(5000);
        c = count_all();
        assert_true(c.bad > 0 || file_now_exists(damaged));
        unlink(damaged);
        unlink(next);
        whole.p[i] ^= 1;
    }
}

static void numbers_what_was_dropped(void **state)
{
    (void)state;
    open_journal(1 << 20, 1 << 20);
    uint64_t lost = journal_dropped();
    push_many(1);
    journal_wait(0, clock_mono_us() + 5 * CLOCK_S);
    atomic_fetch_add(&ring_dropped, 7); /* as a full ring does */
    push_many(1);
    journal_close(5000);
    assert_int_equal(journal_dropped() - lost, 7);
    struct count c = count_all();
    assert_int_equal(c.lines, 2);
    assert_int_equal(c.last, 9);
    open_journal(1 << 20, 1 << 20); /* the next process knows of the gap from the journal */
    assert_int_equal(atomic_load(&gaps_found), 7);
    journal_close(5000);
}

/* Files may not grow beyond some size, which a full disk is like: a part of the batch is written. */
static void a_full_disk_drops_and_counts(void **state)
{
    struct rlimit was, little;
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    open_journal(1 << 20, 1 << 20);
    push_many(1);
    journal_wait(0, clock_mono_us() + 5 * CLOCK_S);
    getrlimit(RLIMIT_FSIZE, &was);
    little = was;
    little.rlim_cur = 1000;
    setrlimit(RLIMIT_FSIZE, &little);
    uint64_t lost = journal_dropped();
    push_many(20);
    for (int i = 0; i < 1000 && journal_dropped() == lost; i++)
        nap();
    assert_true(journal_dropped() > lost);
    setrlimit(RLIMIT_FSIZE, &was);
    push_many(1);
    journal_close(5000);
    struct count c = count_all();
    assert_int_equal(c.bad, 0);
    assert_int_equal(c.rest, 0);
    assert_int_equal(c.last - c.lines, journal_dropped() - lost);
    assert_int_equal(c.last, 22);
}

static void keeps_to_its_largest_size(void **state)
{
    (void)state;
    open_journal(1 << 20, 2000);
    uint64_t lost = journal_dropped();
    for (int i = 0; i < 50; i++) {
        push_many(1);
        nap();
    }
    journal_close(5000);
    struct count c = count_all();
    assert_true(c.lines > 3);
    assert_int_equal(c.lines + journal_dropped() - lost, 50);
    assert_true(atomic_load(&bytes_kept) <= 2000);
}

enum { THREADS = 4, EACH = 20000 };

static void *flood(void *arg)
{
    (void)arg;
    for (int i = 0; i < EACH; i++)
        journal_push(
            S("{\"name\":\"flood\",\"detail\":\"some more bytes, as a real event has them\"}"));
    return NULL;
}

static void every_gap_is_a_counted_drop(void **state)
{
    pthread_t threads[THREADS];
    (void)state;
    open_journal(1 << 20, 1 << 30);
    uint64_t lost = journal_dropped();
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, flood, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    journal_close(20000);
    struct count c = count_all();
    assert_int_equal(c.bad, 0);
    assert_int_equal(c.lines + journal_dropped() - lost, THREADS * EACH);
    assert_true(c.last <= THREADS * EACH);
    assert_true(c.last - c.lines <= journal_dropped() - lost);
}

#define IN_A_FOLDER(f) cmocka_unit_test_setup_teardown(f, fresh, removed)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(keeps_the_chain_over_files_and_starts),
        IN_A_FOLDER(cuts_a_torn_tail),
        IN_A_FOLDER(finds_every_flipped_byte),
        IN_A_FOLDER(numbers_what_was_dropped),
        IN_A_FOLDER(a_full_disk_drops_and_counts),
        IN_A_FOLDER(keeps_to_its_largest_size),
        IN_A_FOLDER(every_gap_is_a_counted_drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
