/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/inspect.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "audit/audit_sql.h"
#include "audit/journal_reader.h"
#include "base/json.h"
#include "base/uuid.h"
#include "runtime/file.h"

enum { BATCH_LINES = 500, BATCH_BYTES = 1024 * 1024, SMALL_FILE = 1024 };

struct work {
    const char *dir;
    struct pg_now *pg;
    struct inspect_report *report;
    char node[37];
    uint64_t kept_file; /* where retention has cut the journal off, and the hash before it */
    struct journal_hash kept_hash;
    uint64_t records; /* written, files before the first one included */
    int64_t shipped;
    bool shipped_seen; /* the line that was shipped last is in the journal */
    struct journal_hash shipped_hash;
    struct buf batch;
    unsigned lines;
};

static bool damaged(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static bool damaged(struct err *e, const char *fmt, ...)
{
    char text[sizeof(e->message)];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return err_set(e, 1, "audit_damaged", "%s", text);
}

/* ---- small files: node, kept ("FILE HASH"), seal ("N HASH") ---------------------------------------- */

static bool small_read(const struct work *w, const char *name, struct buf *out, struct err *e)
{
    char path[JOURNAL_PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", w->dir, name);
    buf_init(out, SMALL_FILE);
    if (file_now_read(path, SMALL_FILE, out, e))
        return true;
    if (e->status != 404)
        return false;
    err_clear(e);
    buf_reset(out);
    return true;
}

/* A number of 0 when there is no such file. */
static bool pair_read(const struct work *w, const char *name, uint64_t *number,
                      struct journal_hash *hash, struct err *e)
{
    CLEANUP(buf_free) struct buf b = {0};
    struct str n, text;
    *number = 0;
    memset(hash, 0, sizeof(*hash));
    if (!small_read(w, name, &b, e))
        return false;
    if (b.n == 0)
        return true;
    str_cut(buf_view(&b), ' ', &n, &text);
    if (!str_to_u64(n, number) || text.n < 64)
        return damaged(e, "the file %s in the audit folder cannot be read", name);
    memcpy(hash->hex, text.p, 64);
    return true;
}

static bool prepare(struct work *w, struct err *e)
{
    CLEANUP(buf_free) struct buf b = {0};
    if (!small_read(w, "node", &b, e))
        return false;
    if (b.n < 36 && w->pg) /* not a server's machine: the database alone */
        return true;
    if (b.n < 36)
        return err_set(e, 2, "audit_missing", "there is no audit journal in %.100s", w->dir);
    memcpy(w->node, b.p, 36);
    if (!pair_read(w, "kept", &w->kept_file, &w->kept_hash, e))
        return false;
    if (w->kept_file == 0) {
        w->kept_file = 1;
        memset(w->kept_hash.hex, '0', 64);
    }
    return true;
}

/* ---- the database's rows against the journal ---------------------------------------------------------- */

static bool batch_compare(struct work *w, struct err *e)
{
    struct pg_result *r = NULL;
    if (w->lines == 0 || !w->pg)
        return true;
    json_put_close(&w->batch, ']');
    struct str args[] = {str_from(w->node), buf_view(&w->batch)};
    if (!pg_now_query(w->pg, audit_compare_sql.text, args, 2, &r, e))
        return false;
    bool ok = pg_row_count(r) == 0
              || damaged(e, "event %.*s, sequence %.*s of the journal: %.*s",
                         STR_ARG(pg_row_str(r, 0, AUDIT_COMPARE_ID)),
                         STR_ARG(pg_row_str(r, 0, AUDIT_COMPARE_SEQUENCE)),
                         STR_ARG(pg_row_str(r, 0, AUDIT_COMPARE_FAULT)));
    pg_now_free(&r);
    buf_reset(&w->batch);
    w->lines = 0;
    return ok;
}

static bool batch_add(struct work *w, const struct journal_line *line, bool copy, struct err *e)
{
    if (!w->pg || (!copy && line->sequence > (uint64_t)w->shipped))
        return true;
    json_put_open(&w->batch, '[');
    if (w->lines == 0)
        json_put_open(&w->batch, '[');
    json_put_i64(&w->batch, (int64_t)line->sequence);
    json_put_str(&w->batch, str_of(line->hash.hex, 64));
    json_put_raw(&w->batch, line->record);
    json_put_close(&w->batch, ']');
    w->lines++;
    return (w->lines < BATCH_LINES && w->batch.n < BATCH_BYTES) || batch_compare(w, e);
}

/* ---- the journal -------------------------------------------------------------------------------------- */

static bool line_take(struct work *w, const struct journal_line *line, struct err *e)
{
    struct inspect_report *v = w->report;
    bool copy = journal_line_is_copy(line->record);
    if (line->sequence < v->last + !copy)
        return damaged(e, "sequence %" PRIu64 " comes after %" PRIu64 " in the journal",
                       line->sequence, v->last);
    if (v->events + v->copies == 0)
        v->first = line->sequence;
    v->events += !copy;
    w->records += !copy;
    v->copies += copy;
    v->last = line->sequence;
    if (line->sequence == (uint64_t)w->shipped && !copy)
        w->shipped_seen |= memcmp(line->hash.hex, w->shipped_hash.hex, 64) == 0;
    return batch_add(w, line, copy, e);
}

static bool head_take(struct work *w, const struct journal_reader *r,
                      const struct journal_line *line, struct err *e)
{
    struct inspect_report *v = w->report;
    bool first = v->files++ == 0;
    if (memcmp(r->head.node, w->node, 36) != 0)
        return damaged(e, "%08" PRIu64 ".journal is another server's", r->file);
    if (first && r->file > w->kept_file)
        return damaged(e, "%08" PRIu64 ".journal is missing", w->kept_file);
    if (first && r->file == w->kept_file && memcmp(r->head.previous.hex, w->kept_hash.hex, 64) != 0)
        return damaged(e, "%08" PRIu64 ".journal does not follow what was before it", r->file);
    if (first)
        v->last = line->sequence;
    w->records = r->head.records;
    if (line->sequence == (uint64_t)w->shipped)
        w->shipped_seen |= memcmp(r->head.previous.hex, w->shipped_hash.hex, 64) == 0;
    return true;
}

static bool bad_line(const struct journal_reader *r, const struct journal_line *line, struct err *e)
{
    return damaged(e,
                   "%08" PRIu64 ".journal, before byte %" PRId64 ", sequence %" PRIu64
                   ": the line does not verify",
                   r->file, r->offset, line->sequence);
}

static bool file_verify(struct work *w, struct journal_reader *r, struct err *e)
{
    struct journal_line line;
    for (;;) {
        enum journal_found found = journal_reader_next(r, &line, e);
        if (found == JOURNAL_FOUND_END)
            return e->status == 0;
        if (found == JOURNAL_FOUND_BAD)
            return bad_line(r, &line, e);
        if (found == JOURNAL_FOUND_HEAD ? !head_take(w, r, &line, e) : !line_take(w, &line, e))
            return false;
    }
}

/* What a start has set aside, and bytes behind the last line of a file that is finished. */
static bool leftovers(const struct work *w, uint64_t file, size_t rest, struct err *e)
{
    char path[JOURNAL_PATH_MAX];
    journal_reader_path(path, w->dir, file, "damaged");
    if (file_now_exists(path))
        return damaged(e, "%08" PRIu64 ".damaged: the end of a file that did not verify", file);
    return rest == 0 || damaged(e, "%08" PRIu64 ".journal ends in the middle of a line", file);
}

static bool journal_verify(struct work *w, struct err *e)
{
    struct journal_reader r;
    journal_reader_open(&r, w->dir, 0);
    bool ok = true;
    for (bool more = true; ok && more;) {
        ok = file_verify(w, &r, e);
        uint64_t file = r.file;
        size_t rest = journal_reader_rest(&r);
        more = ok && journal_reader_follow(&r, e);
        ok = ok && e->status == 0;
        if (ok && !(more && r.file == file)) /* else the server has written on */
            ok = leftovers(w, file, more ? rest : 0, e);
    }
    journal_reader_close(&r);
    w->report->dropped = w->report->last - w->records;
    return ok && batch_compare(w, e);
}

/* ---- the whole ------------------------------------------------------------------------------------------ */

/* What the database says of itself; before the journal is read, which only grows meanwhile. */
static bool state_read(struct work *w, struct err *e)
{
    struct journal_hash hash;
    uint64_t n;
    char seal[24];
    struct pg_result *r = NULL;
    if (!pair_read(w, "seal", &n, &hash, e))
        return false;
    snprintf(seal, sizeof(seal), "%" PRIu64, n);
    struct str args[] = {w->node[0] ? str_from(w->node) : S(UUID_NIL), str_from(seal)};
    if (!pg_now_query(w->pg, audit_state_sql.text, args, 2, &r, e))
        return false;
    w->report->seals = pg_row_i64(r, 0, AUDIT_STATE_SEALS);
    w->report->sealed = pg_row_i64(r, 0, AUDIT_STATE_SEALED);
    w->report->rows = pg_row_i64(r, 0, AUDIT_STATE_EVENTS);
    w->shipped = pg_row_i64(r, 0, AUDIT_STATE_SHIPPED);
    struct str shipped = pg_row_str(r, 0, AUDIT_STATE_SHIPPED_HASH);
    struct str sealed = pg_row_str(r, 0, AUDIT_STATE_SEAL_HASH);
    if (shipped.n == 64)
        memcpy(w->shipped_hash.hex, shipped.p, 64);
    bool gone = (int64_t)n >= pg_row_i64(r, 0, AUDIT_STATE_FIRST_N)
                && !str_eq(sealed, str_of(hash.hex, 64));
    pg_now_free(&r);
    return n == 0 || !gone
           || damaged(e, "seal %" PRIu64 ": the database has another one, or none", n);
}

static bool rows_verify(struct work *w, struct err *e)
{
    struct pg_result *r = NULL;
    if (w->shipped > 0 && !w->shipped_seen)
        return damaged(e, "the journal lacks sequence %" PRId64 ", which the database has had",
                       w->shipped);
    if (!pg_now_query(w->pg, audit_verify_sql.text, NULL, 0, &r, e))
        return false;
    bool ok =
        pg_row_count(r) == 0
        || damaged(e, "seal %.*s, event %.*s: %.*s", STR_ARG(pg_row_str(r, 0, AUDIT_VERIFY_SEAL)),
                   STR_ARG(pg_row_str(r, 0, AUDIT_VERIFY_ID)),
                   STR_ARG(pg_row_str(r, 0, AUDIT_VERIFY_FAULT)));
    pg_now_free(&r);
    return ok;
}

bool inspect_run(const char *dir, struct pg_now *pg, struct inspect_report *out, struct err *e)
{
    struct work w = {.dir = dir, .pg = pg, .report = out};
    *out = (struct inspect_report){0};
    buf_init(&w.batch, BATCH_BYTES + 2 * 6 * JOURNAL_LINE_MAX);
    bool ok = prepare(&w, e) && (!pg || state_read(&w, e)) && (!w.node[0] || journal_verify(&w, e))
              && (!pg || rows_verify(&w, e));
    buf_free(&w.batch);
    return ok;
}
