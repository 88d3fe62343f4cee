/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/shipper.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "audit/audit_sql.h"
#include "audit/journal.h"
#include "audit/journal_reader.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "ops/metrics.h"
#include "pg/pg_now.h"
#include "runtime/file.h"

enum {
    BATCH_LINES = 500,
    BATCH_BYTES = 1024 * 1024,
    BATCH_MAX = BATCH_BYTES + 2 * 6 * JOURNAL_LINE_MAX, /* with the last record, escaped */
    CONNECT_MS = 5000,
    BACKOFF_MIN_MS = 100,
    BACKOFF_MAX_MS = 5000,
    SEAL_EVENTS = 10000, /* in one seal */
    NAP_MS = 10,
};

static const int64_t seal_every_us =
    3 * CLOCK_S; /* seldom enough to cost little, see docs/decisions */
static const int64_t retain_every_us = 3600 * CLOCK_S;

static atomic_bool stopping, ended;
static _Atomic int64_t stop_at_us;
static _Atomic uint64_t shipped; /* highest sequence that the database has */

/* The thread's own. */
static struct {
    struct shipper_config config;
    struct pg_now *pg;
    struct journal_reader reader;
    struct buf batch;
    bool positioned; /* the reader stands behind what is shipped */
    bool down;       /* told in the log */
    char noted[128]; /* the newest seal, as in the file */
    bool note_loaded, told_broken;
    unsigned most; /* lines of the next batch: fewer after one that was refused */
    int64_t backoff_ms, retry_us, seal_us, retain_us;
    pthread_t thread;
    bool started;
} s = {.most = BATCH_LINES};

/* ---- the connection ---------------------------------------------------------------------------- */

static void disconnect(const struct err *e)
{
    if (!s.down) {
        struct log_line l;
        log_begin(&l, LOG_WARN, "audit.database_away");
        log_err(&l, e);
        log_end(&l);
    }
    s.down = true;
    pg_now_close(&s.pg);
    s.positioned = false;
    s.backoff_ms = s.backoff_ms * 2 < BACKOFF_MAX_MS ? s.backoff_ms * 2 : BACKOFF_MAX_MS;
    s.retry_us = clock_mono_us() + s.backoff_ms * CLOCK_MS;
}

static bool set_role(struct err *e)
{
    CLEANUP(arena_close) struct arena a = {0};
    arena_init(&a, 1024);
    if (!s.config.set_role)
        return true;
    struct str name = pg_now_identifier(s.pg, str_from(s.config.set_role), &a);
    return pg_now_query(s.pg, arena_printf(&a, "set role %.*s", STR_ARG(name)).p, NULL, 0, NULL, e);
}

static bool connect_now(struct err *e)
{
    if (s.pg)
        return true;
    if (clock_mono_us() < s.retry_us)
        return false;
    if (!pg_now_open(s.config.conninfo, CONNECT_MS, &s.pg, e)
        || !pg_now_query(s.pg,
                         "select set_config('statement_timeout', '60s', false),"
                         " set_config('application_name', 'basalt audit', false)",
                         NULL, 0, NULL, e)
        || !set_role(e))
        return false;
    if (s.down)
        log_say(LOG_INFO, "audit.database_back", "shipping goes on");
    s.down = false;
    s.backoff_ms = BACKOFF_MIN_MS;
    return true;
}

/* ---- where to go on ------------------------------------------------------------------------------ */

static void reader_restart(uint64_t file)
{
    journal_reader_close(&s.reader);
    journal_reader_open(&s.reader, s.config.dir, file);
}

/* What a file begins with; false when it does not begin well. */
static bool head_of(uint64_t file, struct journal_head *head, uint64_t *sequence)
{
    struct journal_reader r;
    struct journal_line line;
    struct err e;
    journal_reader_open(&r, s.config.dir, file);
    bool ok = journal_reader_next(&r, &line, &e) == JOURNAL_FOUND_HEAD && r.file == file;
    *head = r.head;
    *sequence = line.sequence;
    journal_reader_close(&r);
    return ok;
}

/* The last file that begins at or before that sequence; 0: none does. */
static bool file_of(uint64_t sequence, uint64_t *out, struct err *e)
{
    uint64_t *files = NULL, first;
    struct journal_head head;
    size_t n = 0;
    if (!journal_reader_files(s.config.dir, &files, &n, e))
        return false;
    while (n > 0 && (!head_of(files[n - 1], &head, &first) || first > sequence))
        n--;
    *out = n > 0 ? files[n - 1] : 0;
    free(files);
    return true;
}

/* The next line of the whole journal, bad ones passed over; false at its end. */
static bool next_line(struct journal_line *line, enum journal_found *found, struct err *e)
{
    for (;;) {
        *found = journal_reader_next(&s.reader, line, e);
        if (*found == JOURNAL_FOUND_LINE || *found == JOURNAL_FOUND_HEAD)
            return true;
        if (*found == JOURNAL_FOUND_BAD)
            log_say(LOG_ERROR, "audit.journal_damaged",
                    "file %" PRIu64 ", near sequence %" PRIu64
                    ": a line does not verify; see `basalt audit verify`",
                    s.reader.file, line->sequence);
        if (*found == JOURNAL_FOUND_END && !journal_reader_follow(&s.reader, e))
            return false;
    }
}

/*
 * Behind the line that the database says it had last, known by its hash. A journal that has no such
 * line (it was restored from a copy) is shipped from its begin: ids make that harmless.
 */
static bool position_find(uint64_t sequence, struct str hash, struct err *e)
{
    struct journal_line line;
    enum journal_found found;
    uint64_t file;
    if (!file_of(sequence, &file, e))
        return false;
    reader_restart(file);
    while (next_line(&line, &found, e) && line.sequence <= sequence) {
        const char *at = found == JOURNAL_FOUND_HEAD ? s.reader.head.previous.hex : line.hash.hex;
        if (line.sequence == sequence && str_is(hash, at)) {
            atomic_store(&shipped, sequence);
            return true;
        }
    }
    if (e->status)
        return false;
    if (sequence > 0)
        log_say(LOG_WARN, "audit.position_lost",
                "the journal does not have what was shipped last; it is shipped from its begin");
    reader_restart(0);
    atomic_store(&shipped, 0);
    return true;
}

static bool position(struct err *e)
{
    struct str node = str_from(journal_node());
    struct pg_result *r = NULL;
    if (s.positioned)
        return true;
    if (!pg_now_query(s.pg, audit_node_read_sql.text, &node, 1, &r, e))
        return false;
    bool known = pg_row_count(r) > 0;
    int64_t sequence = known ? pg_row_i64(r, 0, AUDIT_NODE_READ_SEQUENCE) : 0;
    s.positioned = position_find((uint64_t)sequence,
                                 known ? pg_row_str(r, 0, AUDIT_NODE_READ_HASH) : S(""), e);
    pg_now_free(&r);
    return s.positioned;
}

/* ---- one batch ------------------------------------------------------------------------------------ */

struct batch {
    unsigned lines;
    uint64_t sequence;
    struct journal_hash hash; /* of the last line */
};

static void batch_add(struct batch *b, const struct journal_line *line)
{
    json_put_open(&s.batch, '[');
    json_put_i64(&s.batch, (int64_t)line->sequence);
    json_put_str(&s.batch, str_of(line->hash.hex, 64));
    json_put_raw(&s.batch, line->record);
    json_put_close(&s.batch, ']');
    b->sequence = line->sequence;
    b->hash = line->hash;
    b->lines++;
}

/* Only what is synced: a crash must not take back what the database has. */
static bool batch_read(struct batch *b, struct err *e)
{
    struct journal_line line;
    enum journal_found found;
    *b = (struct batch){0};
    buf_reset(&s.batch);
    json_put_open(&s.batch, '[');
    while (b->lines < s.most && s.batch.n < BATCH_BYTES
           && (b->lines ? b->sequence : atomic_load(&shipped)) < journal_synced()
           && next_line(&line, &found, e))
        if (found == JOURNAL_FOUND_LINE && !journal_line_is_copy(line.record))
            batch_add(b, &line);
    json_put_close(&s.batch, ']');
    return e->status == 0;
}

static bool batch_send(const struct batch *b, struct str lines, struct err *e)
{
    char sequence[24];
    snprintf(sequence, sizeof(sequence), "%" PRIu64, b->sequence);
    struct str args[] = {str_from(journal_node()), lines, str_from(sequence),
                         str_from(b->hash.hex)};
    return pg_now_query(s.pg, audit_ship_sql.text, args, 4, NULL, e);
}

/* A value that PostgreSQL refuses, not a database that is away or busy. */
static bool refused(const struct err *e)
{
    return strncmp(e->sqlstate, "22", 2) == 0 || strncmp(e->sqlstate, "23", 2) == 0;
}

/*
 * What is refused is sent again line by line, and the one line that is at fault is passed over: it
 * stays in the journal and in the log. Nothing may stop the rest.
 */
static bool batch_refused(const struct batch *b, struct err *e)
{
    if (b->lines > 1) {
        s.most = 1;
        s.positioned = false;
        err_clear(e);
        return true;
    }
    struct log_line l;
    log_begin(&l, LOG_ERROR, "audit.unshippable");
    log_i64(&l, "sequence", (int64_t)b->sequence);
    log_err(&l, e);
    log_end(&l);
    return batch_send(b, S("[]"), e);
}

/* *more: there may be more at once. */
static bool ship(bool *more, struct err *e)
{
    struct batch b;
    *more = false;
    if (!position(e) || !batch_read(&b, e))
        return false;
    if (b.lines == 0) { /* quiet: the memory goes back */
        buf_free(&s.batch);
        buf_init(&s.batch, BATCH_MAX);
        return true;
    }
    *more = true;
    if (!batch_send(&b, buf_view(&s.batch), e)) {
        if (!refused(e) || !batch_refused(&b, e))
            return false;
        if (!s.positioned)
            return true;
    } else {
        s.most = s.most * 2 < BATCH_LINES ? s.most * 2 : BATCH_LINES;
    }
    atomic_store(&shipped, b.sequence);
    return true;
}

/* ---- seals and retention ---------------------------------------------------------------------------- */

static void seal_path(char out[JOURNAL_PATH_MAX])
{
    snprintf(out, JOURNAL_PATH_MAX, "%s/seal", s.config.dir);
}

/* "N HASH" as it was noted last; empty when nothing was. */
static bool note_load(struct err *e)
{
    char path[JOURNAL_PATH_MAX];
    CLEANUP(buf_free) struct buf b = {0};
    seal_path(path);
    buf_init(&b, sizeof(s.noted));
    bool there = file_now_read(path, sizeof(s.noted) - 1, &b, e);
    if (!there && e->status != 404)
        return false;
    err_clear(e);
    memcpy(s.noted, b.n ? b.p : "", b.n);
    s.noted[b.n] = 0;
    s.note_loaded = true;
    return true;
}

/* Whether the chain still goes through the seal that was noted, or retention has cut it off. */
static bool note_stands(bool *out, struct err *e)
{
    struct pg_result *r = NULL;
    struct str n, hash;
    int64_t number = 0;
    *out = true;
    if (!s.noted[0])
        return true;
    str_cut(str_from(s.noted), ' ', &n, &hash);
    if (!str_to_i64(n, &number))
        n = S("0");
    if (!pg_now_query(s.pg, audit_seal_read_sql.text, &n, 1, &r, e))
        return false;
    *out = number < pg_row_i64(r, 0, AUDIT_SEAL_READ_FIRST_N)
           || str_eq(pg_row_str(r, 0, AUDIT_SEAL_READ_HASH),
                     str_of(hash.p, hash.n < 64 ? hash.n : 64));
    pg_now_free(&r);
    return true;
}

/*
 * What the newest seal was, here too: who rewrites the database's chain does not reach this file. It
 * is left as it is when the chain no longer goes through it, so that verify keeps telling.
 */
static bool seal_note(struct str n, struct str hash, struct err *e)
{
    char path[JOURNAL_PATH_MAX];
    bool stands;
    if ((!s.note_loaded && !note_load(e)) || !note_stands(&stands, e))
        return false;
    if (!stands) {
        if (!s.told_broken)
            log_say(
                LOG_ERROR, "audit.seals_broken",
                "the seals in the database are not those that were made: see `basalt audit verify`");
        s.told_broken = true;
        return true;
    }
    seal_path(path);
    int length = snprintf(s.noted, sizeof(s.noted), "%.*s %.*s\n", STR_ARG(n), STR_ARG(hash));
    return file_now_write(path, str_of(s.noted, (size_t)length), 0600, e);
}

static bool seal(struct err *e)
{
    struct str most = S("10000");
    _Static_assert(SEAL_EVENTS == 10000, "as the text says");
    for (bool more = true; more;) {
        struct pg_result *r = NULL;
        if (!pg_now_query(s.pg, audit_seal_sql.text, &most, 1, &r, e))
            return false;
        more = pg_row_count(r) > 0;
        bool ok =
            !more
            || seal_note(pg_row_str(r, 0, AUDIT_SEAL_N), pg_row_str(r, 0, AUDIT_SEAL_HASH), e);
        more = more && pg_row_i64(r, 0, AUDIT_SEAL_EVENTS) == SEAL_EVENTS;
        pg_now_free(&r);
        if (!ok)
            return false;
    }
    return true;
}

static bool retain_database(struct err *e)
{
    char time[28];
    clock_rfc3339(clock_wall_us() - s.config.retention_us, time);
    struct str before = str_from(time);
    for (bool more = true; more;) {
        struct pg_result *r = NULL;
        if (!pg_now_query(s.pg, audit_retain_sql.text, &before, 1, &r, e))
            return false;
        more = pg_row_i64(r, 0, AUDIT_RETAIN_SEALS) > 0;
        pg_now_free(&r);
    }
    return true;
}

/* Where the chain begins from now on; written before the file goes. */
static bool file_delete(uint64_t file, uint64_t next_file, int64_t bytes,
                        const struct journal_head *next, struct err *e)
{
    char path[JOURNAL_PATH_MAX], text[128];
    snprintf(path, sizeof(path), "%s/kept", s.config.dir);
    int n = snprintf(text, sizeof(text), "%" PRIu64 " %s\n", next_file, next->previous.hex);
    if (!file_now_write(path, str_of(text, (size_t)n), 0600, e))
        return false;
    journal_reader_path(path, s.config.dir, file, "journal");
    if (unlink(path) == 0)
        journal_shrink(bytes);
    return true;
}

/* Files that are shipped and old, or that the rest needs the room of. Never the last one. */
static bool retain_files(struct err *e)
{
    uint64_t *files = NULL;
    size_t n = 0;
    bool ok = journal_reader_files(s.config.dir, &files, &n, e);
    for (size_t i = 0; ok && i + 1 < n; i++) {
        char path[JOURNAL_PATH_MAX];
        struct stat st;
        struct journal_head next;
        uint64_t end;
        journal_reader_path(path, s.config.dir, files[i], "journal");
        if (stat(path, &st) != 0)
            break;
        bool old = st.st_mtim.tv_sec * CLOCK_S < clock_wall_us() - s.config.retention_us;
        bool tight = journal_bytes() > s.config.max_bytes / 4 * 3;
        if ((!old && !tight) || !head_of(files[i + 1], &next, &end) || end > atomic_load(&shipped))
            break;
        ok = file_delete(files[i], files[i + 1], st.st_size, &next, e);
    }
    free(files);
    return ok && e->status == 0;
}

static bool keep_house(struct err *e)
{
    int64_t now = clock_mono_us();
    if (now >= s.seal_us && !seal(e))
        return false;
    if (now >= s.seal_us)
        s.seal_us = now + seal_every_us;
    bool due = now >= s.retain_us;
    if (due && !retain_database(e))
        return false;
    if (due)
        s.retain_us = now + retain_every_us;
    return (!due && journal_bytes() <= s.config.max_bytes / 4 * 3) || retain_files(e);
}

/* ---- the thread --------------------------------------------------------------------------------------- */

static bool over(void)
{
    return atomic_load(&stopping) && clock_mono_us() >= atomic_load(&stop_at_us);
}

static void *shipper_main(void *arg)
{
    (void)arg;
    pthread_setname_np(pthread_self(), "audit-shipper");
    while (!over()) {
        struct err e = {0};
        bool more = false, last = atomic_load(&stopping);
        uint64_t seen = journal_synced();
        if (last)
            s.seal_us = 0;
        bool ok = connect_now(&e) && ship(&more, &e) && keep_house(&e);
        if (!ok && e.status)
            disconnect(&e);
        if (last && !(ok && more))
            break;
        if (!ok)
            journal_wait(UINT64_MAX, s.retry_us);
        else if (!more)
            journal_wait(seen, s.seal_us);
    }
    pg_now_close(&s.pg);
    journal_reader_close(&s.reader);
    buf_free(&s.batch);
    atomic_store(&ended, true);
    return NULL;
}

static int64_t shipped_gauge(void *ctx)
{
    (void)ctx;
    return (int64_t)atomic_load(&shipped);
}

bool shipper_start(const struct shipper_config *c, struct err *e)
{
    sigset_t all, before;
    s.config = *c;
    /* its own, since a thread that hangs in libpq outlives whoever has given them */
    s.config.conninfo = strdup(c->conninfo);
    s.config.set_role = c->set_role ? strdup(c->set_role) : NULL;
    if (!s.config.conninfo || (c->set_role && !s.config.set_role))
        return err_set(e, 500, "audit_journal", "out of memory");
    s.backoff_ms = BACKOFF_MIN_MS;
    buf_init(&s.batch, BATCH_MAX);
    journal_reader_open(&s.reader, c->dir, 0);
    metrics_gauge_fn(METRIC_audit_shipped_sequence, 0, shipped_gauge, NULL);
    atomic_store(&stopping, false);
    atomic_store(&ended, false);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    s.started = pthread_create(&s.thread, NULL, shipper_main, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return s.started || err_set(e, 500, "audit_journal", "the audit shipper's thread cannot start");
}

void shipper_stop(int timeout_ms)
{
    if (!s.started)
        return;
    s.started = false;
    int64_t until_us = clock_mono_us() + timeout_ms * CLOCK_MS;
    atomic_store(&stop_at_us, until_us);
    atomic_store(&stopping, true);
    journal_rouse();
    while (!atomic_load(&ended) && clock_mono_us() < until_us)
        nanosleep(&(struct timespec){.tv_nsec = NAP_MS * 1000000L}, NULL);
    if (!atomic_load(&ended)) {
        pthread_detach(s.thread); /* it waits for a database that does not answer */
        return;
    }
    pthread_join(s.thread, NULL);
    free((void *)(uintptr_t)s.config.conninfo);
    free((void *)(uintptr_t)s.config.set_role);
}
