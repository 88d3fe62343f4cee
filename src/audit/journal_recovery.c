/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/journal_recovery.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/uuid.h"
#include "runtime/file.h"

static bool failed(const char *what, const char *path, struct err *e)
{
    err_set(e, 500, "audit_journal", "the audit journal cannot be %s: %.80s", what,
            strerrordesc_np(errno));
    return err_detail(e, "%.300s", path);
}

static bool node_load(const char *dir, char out[37], struct err *e)
{
    char path[JOURNAL_PATH_MAX];
    CLEANUP(buf_free) struct buf b = {0};
    struct uuid id;
    snprintf(path, sizeof(path), "%s/node", dir);
    buf_init(&b, 1024);
    bool there = file_now_read(path, 1024, &b, e);
    if (!there && e->status != 404)
        return false;
    err_clear(e);
    if (there && !uuid_parse(str_of(b.p, b.n < 36 ? b.n : 36), &id))
        return err_set(e, 500, "audit_journal", "the audit journal's file \"node\" holds no UUID");
    if (!there) {
        id = uuid_v4();
        if (!file_now_write(path, uuid_str(&id), 0600, e))
            return false;
    }
    memcpy(out, id.text, sizeof(id.text));
    return true;
}

/* Where the last whole line of a file ends, and what was behind it. */
struct tail {
    uint64_t sequence, records;
    struct journal_hash hash;
    int64_t good_end, size;
    uint64_t
        highest; /* sequence, of lines that do not follow theirs too: it may be in the database */
    bool headed;
};

static bool file_walk(const char *dir, uint64_t file, struct tail *t, struct err *e)
{
    struct journal_reader r;
    struct journal_line line;
    enum journal_found found;
    *t = (struct tail){0};
    journal_reader_open(&r, dir, file);
    while ((found = journal_reader_next(&r, &line, e)) != JOURNAL_FOUND_END) {
        if (line.sequence > t->highest)
            t->highest = line.sequence;
        if (found == JOURNAL_FOUND_BAD)
            continue;
        if (found == JOURNAL_FOUND_HEAD)
            t->records = r.head.records;
        t->headed = true;
        t->records += found == JOURNAL_FOUND_LINE && !journal_line_is_copy(line.record);
        t->sequence = line.sequence;
        t->hash = line.hash;
        t->good_end = r.offset;
    }
    struct stat st;
    bool ok = e->status == 0 && (fstat(r.fd, &st) == 0 || failed("read", dir, e));
    if (ok)
        t->size = st.st_size;
    journal_reader_close(&r);
    return ok;
}

/* Zeros are what a file system leaves of a write that it had not finished (after power was lost). */
static bool only_zeros(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != 0)
            return false;
    return true;
}

static bool is_torn(struct str rest)
{
    struct journal_line line;
    return only_zeros(rest) || journal_line_read(rest, &line) == JOURNAL_SHAPE_CUT;
}

/* The rest goes into a file of its own unless it is a line's begin. */
static bool rest_set_aside(const char *dir, uint64_t file, struct str rest, struct err *e)
{
    char path[JOURNAL_PATH_MAX];
    bool torn = is_torn(rest);
    struct log_line l;
    log_begin(&l, torn ? LOG_WARN : LOG_ERROR, torn ? "audit.torn_tail" : "audit.damaged_tail");
    log_i64(&l, "file", (int64_t)file);
    log_i64(&l, "bytes", (int64_t)rest.n);
    log_end(&l);
    journal_reader_path(path, dir, file, "damaged");
    return torn || file_now_write(path, rest, 0600, e);
}

static bool file_cut(const char *path, int64_t end, struct err *e)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    bool ok = fd >= 0 && ftruncate(fd, end) == 0 && fsync(fd) == 0;
    ok = ok || failed("cut", path, e);
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool tail_cut(const char *dir, uint64_t file, const struct tail *t, struct err *e)
{
    char path[JOURNAL_PATH_MAX];
    enum { FILE_MAX = 1 << 30 };
    CLEANUP(buf_free) struct buf all = {0};
    if (t->good_end == t->size)
        return true;
    journal_reader_path(path, dir, file, "journal");
    buf_init(&all, FILE_MAX);
    if (!file_now_read(path, FILE_MAX, &all, e)
        || !rest_set_aside(dir, file, str_from_at(buf_view(&all), (size_t)t->good_end), e))
        return false;
    if (t->good_end > 0)
        return file_cut(path, t->good_end, e);
    return unlink(path) == 0 || failed("cut", path, e);
}

/* From the last file backwards to one with a line in it. */
static bool last_file(const char *dir, const uint64_t *files, size_t n, struct journal_state *s,
                      struct err *e)
{
    uint64_t highest = 0;
    s->file = n ? files[n - 1] : 0;
    memset(s->hash.hex, '0', 64);
    while (n-- > 0) {
        struct tail t;
        if (!file_walk(dir, files[n], &t, e) || !tail_cut(dir, files[n], &t, e))
            return false;
        if (t.highest > highest)
            highest = t.highest;
        if (!t.headed)
            continue;
        s->records = t.records;
        s->hash = t.hash;
        break;
    }
    s->sequence = highest;
    return true;
}

static int64_t bytes_of(const char *dir, const uint64_t *files, size_t n)
{
    char path[JOURNAL_PATH_MAX];
    struct stat st;
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        journal_reader_path(path, dir, files[i], "journal");
        sum += stat(path, &st) == 0 ? st.st_size : 0;
    }
    return sum;
}

bool journal_recovery_run(const char *dir, struct journal_state *out, struct err *e)
{
    struct journal_state s = {0};
    uint64_t *files = NULL;
    size_t n = 0;
    if (!file_now_mkdirs(dir, 0700, e) || !node_load(dir, s.node, e)
        || !journal_reader_files(dir, &files, &n, e))
        return false;
    bool ok = last_file(dir, files, n, &s, e);
    s.bytes = bytes_of(dir, files, n);
    free(files);
    if (ok)
        *out = s;
    return ok;
}
