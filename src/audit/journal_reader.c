/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/journal_reader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "base/uuid.h"

enum { READ_BYTES = 64 * 1024, WINDOW_MAX = READ_BYTES + 2 * JOURNAL_LINE_MAX, DIGITS = 8 };

void journal_reader_path(char out[JOURNAL_PATH_MAX], const char *dir, uint64_t file,
                         const char *ending)
{
    int n = snprintf(out, JOURNAL_PATH_MAX, "%s/%08llu.%s", dir, (unsigned long long)file, ending);
    BUG(n < 0 || n >= JOURNAL_PATH_MAX); /* data folders have shorter names */
}

static bool failed(const char *what, const char *path, struct err *e)
{
    err_set(e, 500, "audit_journal", "the audit journal cannot be %s: %.80s", what,
            strerrordesc_np(errno));
    return err_detail(e, "%.300s", path);
}

static bool number_of(const char *name, uint64_t *out)
{
    struct str s = str_from(name);
    return str_ends(s, S(".journal")) && s.n >= DIGITS + 8 && str_to_u64(str_of(s.p, s.n - 8), out)
           && *out > 0;
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

bool journal_reader_files(const char *dir, uint64_t **out, size_t *n, struct err *e)
{
    struct buf list;
    buf_init(&list, SIZE_MAX / 2);
    DIR *d = opendir(dir);
    if (!d)
        return failed("listed", dir, e);
    for (const struct dirent *entry; (entry = readdir(d));) {
        uint64_t number;
        if (number_of(entry->d_name, &number))
            buf_add(&list, &number, sizeof(number));
    }
    closedir(d);
    if (list.failed) {
        buf_free(&list);
        return err_set(e, 500, "audit_journal", "out of memory");
    }
    *n = list.n / sizeof(uint64_t);
    *out = (uint64_t *)(void *)list.p;
    if (*n > 0)
        qsort(*out, *n, sizeof(uint64_t), ascending);
    return true;
}

void journal_reader_open(struct journal_reader *r, const char *dir, uint64_t from)
{
    *r = (struct journal_reader){.dir = dir, .file = from ? from - 1 : 0, .fd = -1};
    buf_init(&r->window, WINDOW_MAX);
}

void journal_reader_close(struct journal_reader *r)
{
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
    buf_free(&r->window);
}

/* False at the file's end, for now. */
static bool fill(struct journal_reader *r, struct err *e)
{
    buf_consume(&r->window, r->at);
    r->at = 0;
    if (!buf_reserve(&r->window, READ_BYTES))
        return err_set(e, 500, "audit_journal", "out of memory");
    ssize_t n =
        pread(r->fd, r->window.p + r->window.n, READ_BYTES, r->offset + (int64_t)r->window.n);
    if (n < 0)
        return failed("read", r->dir, e);
    r->window.n += (size_t)n;
    return n > 0;
}

static struct str unread(const struct journal_reader *r)
{
    return str_from_at(buf_view(&r->window), r->at);
}

size_t journal_reader_rest(const struct journal_reader *r)
{
    return r->window.n - r->at;
}

static void pass(struct journal_reader *r, size_t n)
{
    r->at += n;
    r->offset += (int64_t)n;
}

/* Passes over what is no line: to the next line end, where a line may begin again. */
static enum journal_found pass_bad(struct journal_reader *r, struct journal_line *out,
                                   struct err *e)
{
    size_t passed = 0;
    *out = (struct journal_line){0};
    for (;;) {
        struct str s = unread(r);
        const char *end = s.n ? memchr(s.p, '\n', s.n) : NULL;
        size_t n = end ? (size_t)(end - s.p) + 1 : s.n;
        pass(r, n);
        passed += n;
        if (end || !fill(r, e))
            break;
    }
    out->size = passed;
    return JOURNAL_FOUND_BAD;
}

static bool head_read(struct str record, struct journal_head *out)
{
    CLEANUP(arena_close) struct arena a = {0};
    struct str node, previous, records;
    arena_init(&a, JOURNAL_LINE_MAX);
    struct journal_head h = {0};
    if (!json_get(record, "node", JSON_STR, &node, &a) || !uuid_valid(node)
        || !json_get(record, "previous", JSON_STR, &previous, &a) || previous.n != 64
        || !json_get(record, "records", JSON_NUMBER, &records, &a)
        || !str_to_u64(records, &h.records))
        return false;
    memcpy(h.node, node.p, node.n);
    memcpy(h.previous.hex, previous.p, previous.n);
    *out = h;
    return true;
}

/* A file's first line follows what it says it follows, which has to be the former file's last. */
static enum journal_found head_found(struct journal_reader *r, const struct journal_line *line)
{
    struct journal_hash former = r->last;
    r->headed = true;
    r->last = line->hash;
    if (!head_read(line->record, &r->head) || !journal_line_follows(line, &r->head.previous))
        return JOURNAL_FOUND_BAD;
    return !former.hex[0] || strcmp(former.hex, r->head.previous.hex) == 0 ? JOURNAL_FOUND_HEAD
                                                                           : JOURNAL_FOUND_BAD;
}

static enum journal_found line_found(struct journal_reader *r, struct journal_line *out)
{
    struct journal_hash former = r->last;
    pass(r, out->size);
    if (!r->headed)
        return head_found(r, out);
    r->last = out->hash;
    return journal_line_follows(out, &former) ? JOURNAL_FOUND_LINE : JOURNAL_FOUND_BAD;
}

enum journal_found journal_reader_next(struct journal_reader *r, struct journal_line *out,
                                       struct err *e)
{
    err_clear(e);
    if (r->fd < 0 && !journal_reader_follow(r, e))
        return JOURNAL_FOUND_END;
    for (;;) {
        enum journal_shape shape = journal_line_read(unread(r), out);
        if (shape == JOURNAL_SHAPE_LINE)
            return line_found(r, out);
        if (shape == JOURNAL_SHAPE_BAD) {
            r->headed = true; /* what comes next is not the first line any more */
            return pass_bad(r, out, e);
        }
        if (!fill(r, e))
            return JOURNAL_FOUND_END;
    }
}

bool journal_reader_follow(struct journal_reader *r, struct err *e)
{
    uint64_t *files = NULL, next = 0;
    size_t n = 0;
    char path[JOURNAL_PATH_MAX];
    if (!journal_reader_files(r->dir, &files, &n, e))
        return false;
    for (size_t i = 0; i < n && next == 0; i++)
        if (files[i] > r->file)
            next = files[i];
    free(files);
    if (next == 0)
        return false;
    if (r->fd >= 0 && fill(r, e))
        return true; /* written since we came to its end */
    if (e->status)
        return false;
    journal_reader_path(path, r->dir, next, "journal");
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return failed("read", path, e);
    if (r->fd >= 0)
        close(r->fd);
    r->fd = fd;
    r->file = next;
    r->offset = 0;
    r->at = 0;
    r->headed = false;
    buf_reset(&r->window);
    return true;
}
