/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "audit/journal_recovery.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/ring.h"
#include "ops/metrics.h"

enum {
    RING_BYTES = 4 << 20,     /* 8,000 events and more, while a disk is slow to sync */
    BATCH_BYTES = 256 * 1024, /* of lines, one sync each */
    GATHER_MS = 15,           /* while events flow the writer naps, so that they share a sync */
    QUIET_NAPS = 10,          /* empty naps before it sleeps until it is woken */
};

static _Alignas(RING_PAGE) unsigned char ring_bytes[RING_BYTES];
static struct ring ring = RING_INIT(ring_bytes);

static _Atomic uint64_t ring_dropped;  /* since there was no room */
static _Atomic uint64_t write_dropped; /* since they could not be written */
static _Atomic uint64_t gaps_found;    /* of former processes */
static _Atomic uint64_t synced;
static _Atomic int64_t bytes_kept;
static atomic_bool stopping, ended;

/* The writer's own, but for opening and closing. */
static struct {
    struct journal_config config;
    struct journal_state state;
    uint64_t drops_seen; /* of ring_dropped, already told by the sequence */
    int fd;              /* -1: the next event begins a file */
    int64_t size;
    struct buf out;
    bool failing;
    bool open;
    pthread_t thread;
} j = {.fd = -1};

/* Whoever waits for `synced` to grow. */
static pthread_mutex_t wait_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wait_cond;
static bool roused;

bool journal_push(struct str record)
{
    BUG(record.n == 0 || record.n > JOURNAL_RECORD_MAX);
    if (ring_push(&ring, record.p, record.n))
        return true;
    if (!journal_line_is_copy(record)) /* of which the database has the original */
        atomic_fetch_add(&ring_dropped, 1);
    return false;
}

/* ---- files --------------------------------------------------------------------------------- */

static bool write_all(int fd, struct str s)
{
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        s = str_from_at(s, (size_t)n);
    }
    return true;
}

static bool folder_sync(void)
{
    int fd = open(j.config.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

static void head_put(struct buf *b, struct journal_hash *hash)
{
    char record[512];
    struct buf r = {.p = record, .cap = sizeof(record), .max_bytes = sizeof(record)};
    json_put_open(&r, '{');
    json_put_kstr(&r, "node", str_from(j.state.node));
    json_put_ki64(&r, "records", (int64_t)j.state.records);
    json_put_kstr(&r, "previous", str_from(hash->hex));
    json_put_ktime(&r, "at", clock_wall_us());
    json_put_close(&r, '}');
    journal_line_put(b, j.state.sequence, buf_view(&r), hash);
}

/* Its first line and its name are durable before an event is in it. */
static bool file_begin(void)
{
    char path[JOURNAL_PATH_MAX], mem[1024];
    struct buf b = {.p = mem, .cap = sizeof(mem), .max_bytes = sizeof(mem)};
    struct journal_hash hash = j.state.hash;
    head_put(&b, &hash);
    journal_reader_path(path, j.config.dir, j.state.file + 1, "journal");
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    if (fchmod(fd, 0600) != 0 || !write_all(fd, buf_view(&b)) || fsync(fd) != 0 || !folder_sync()) {
        int code = errno;
        unlink(path);
        close(fd);
        errno = code;
        return false;
    }
    j.fd = fd;
    j.size = (int64_t)b.n;
    j.state.file++;
    j.state.hash = hash;
    atomic_fetch_add(&bytes_kept, (int64_t)b.n);
    return true;
}

static void file_end(void)
{
    if (j.fd >= 0)
        close(j.fd);
    j.fd = -1;
}

/* ---- one batch ------------------------------------------------------------------------------- */

struct batch {
    uint64_t sequence, events, lines;
    uint64_t drops; /* of ring_dropped, told by this sequence */
    uint64_t taken; /* position in the ring */
    struct journal_hash hash;
};

/* Lines of what the ring holds into j.out. Numbers are left out for what was dropped before them. */
static void gather(struct batch *b)
{
    char record[JOURNAL_RECORD_MAX];
    struct str piece[2];
    *b = (struct batch){
        .drops = atomic_load(&ring_dropped), .taken = ring_begin(&ring), .hash = j.state.hash};
    b->sequence = j.state.sequence + (b->drops - j.drops_seen);
    buf_reset(&j.out);
    while (j.out.n + JOURNAL_LINE_MAX <= BATCH_BYTES && ring_next(&ring, &b->taken, piece)) {
        memcpy(record, piece[0].p, piece[0].n);
        memcpy(record + piece[0].n, piece[1].p, piece[1].n);
        struct str r = str_of(record, piece[0].n + piece[1].n);
        bool event = !journal_line_is_copy(r);
        b->sequence += event;
        b->events += event;
        b->lines++;
        journal_line_put(&j.out, b->sequence, r, &b->hash);
    }
}

/* What was written of it is taken back: a line is there whole and synced, or not at all. */
static bool append(bool sync)
{
    if (write_all(j.fd, buf_view(&j.out)) && (!sync || fdatasync(j.fd) == 0))
        return true;
    int code = errno;
    if (ftruncate(j.fd, j.size) != 0 || fsync(j.fd) != 0)
        log_say(LOG_ERROR, "audit.journal_failed", "what was half written cannot be taken back");
    file_end();
    errno = code;
    return false;
}

static bool batch_write(struct batch *b)
{
    if (j.fd >= 0 && j.size >= j.config.file_bytes)
        file_end();
    if (atomic_load(&bytes_kept) + (int64_t)j.out.n > j.config.max_bytes) {
        errno = EDQUOT; /* by our own setting */
        return false;
    }
    if (j.fd < 0) {
        if (!file_begin())
            return false;
        gather(b); /* again: the chain now goes through the file's first line */
    }
    return append(b->events > 0); /* what copies tell is durable already */
}

static void told_failing(bool failing)
{
    if (failing == j.failing)
        return;
    j.failing = failing;
    if (failing)
        log_say(LOG_ERROR, "audit.journal_failed", "events are dropped, the journal: %s",
                strerrordesc_np(errno));
    else
        log_say(LOG_WARN, "audit.journal_works", "events are kept again");
}

static void publish(uint64_t sequence)
{
    pthread_mutex_lock(&wait_lock);
    atomic_store(&synced, sequence);
    pthread_cond_broadcast(&wait_cond);
    pthread_mutex_unlock(&wait_lock);
}

/* False: there was nothing. */
static bool batch_do(void)
{
    struct batch b;
    gather(&b);
    if (b.lines == 0)
        return false;
    bool ok = batch_write(&b);
    told_failing(!ok);
    j.drops_seen = b.drops;
    j.state.sequence = b.sequence; /* of lost ones too: they become a gap */
    if (ok) {
        j.state.records += b.events;
        j.state.hash = b.hash;
        j.size += (int64_t)j.out.n;
        atomic_fetch_add(&bytes_kept, (int64_t)j.out.n);
        publish(b.sequence);
    } else {
        atomic_fetch_add(&write_dropped, b.events);
    }
    ring_take(&ring, b.taken);
    return true;
}

static bool asked_to_stop(void)
{
    return atomic_load(&stopping);
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = GATHER_MS * 1000000L}, NULL);
}

static void *writer_main(void *arg)
{
    int quiet = 0;
    (void)arg;
    pthread_setname_np(pthread_self(), "audit-journal");
    for (;;) {
        bool stop = asked_to_stop(), wrote = false;
        while (batch_do())
            wrote = true;
        if (stop)
            break;
        quiet = wrote ? 0 : quiet + 1;
        if (quiet <= QUIET_NAPS) {
            nap();
            continue;
        }
        ring_release(&ring);
        buf_free(&j.out);
        buf_init(&j.out, 2 * BATCH_BYTES);
        ring_sleep(&ring, asked_to_stop);
    }
    file_end();
    atomic_store(&ended, true);
    return NULL;
}

/* ---- opening, closing, looking ----------------------------------------------------------------- */

static int64_t synced_gauge(void *ctx)
{
    (void)ctx;
    return (int64_t)journal_synced();
}

static int64_t dropped_gauge(void *ctx)
{
    (void)ctx;
    return (int64_t)journal_dropped();
}

static int64_t bytes_gauge(void *ctx)
{
    (void)ctx;
    return journal_bytes();
}

/* Signals are for the loops. */
static bool thread_start(void)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool ok = pthread_create(&j.thread, NULL, writer_main, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ok;
}

bool journal_open(const struct journal_config *c, struct err *e)
{
    pthread_condattr_t attr;
    BUG(j.open);
    if (!journal_recovery_run(c->dir, &j.state, e))
        return false;
    j.config = *c;
    buf_init(&j.out, 2 * BATCH_BYTES);
    ring_open(&ring);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&wait_cond, &attr);
    pthread_condattr_destroy(&attr);
    atomic_store(&synced, j.state.sequence);
    atomic_store(&gaps_found, j.state.sequence - j.state.records);
    atomic_store(&bytes_kept, j.state.bytes);
    atomic_store(&stopping, false);
    atomic_store(&ended, false);
    metrics_gauge_fn(METRIC_audit_synced_sequence, 0, synced_gauge, NULL);
    metrics_gauge_fn(METRIC_audit_dropped, 0, dropped_gauge, NULL);
    metrics_gauge_fn(METRIC_audit_journal_bytes, 0, bytes_gauge, NULL);
    j.open = thread_start();
    return j.open || err_set(e, 500, "audit_journal", "the audit journal's thread cannot start");
}

void journal_close(int timeout_ms)
{
    if (!j.open)
        return;
    atomic_store(&stopping, true);
    ring_wake(&ring);
    int64_t until_us = clock_mono_us() + timeout_ms * CLOCK_MS;
    while (!atomic_load(&ended) && clock_mono_us() < until_us)
        nap();
    if (!atomic_load(&ended)) {
        pthread_detach(j.thread); /* a disk that does not answer; it still uses j */
        return;
    }
    pthread_join(j.thread, NULL);
    buf_free(&j.out);
    j.open = false;
}

const char *journal_node(void)
{
    return j.state.node;
}

uint64_t journal_synced(void)
{
    return atomic_load(&synced);
}

uint64_t journal_dropped(void)
{
    return atomic_load(&gaps_found) + atomic_load(&ring_dropped) + atomic_load(&write_dropped);
}

void journal_wait(uint64_t sequence, int64_t until_us)
{
    struct timespec until = {.tv_sec = until_us / CLOCK_S, .tv_nsec = until_us % CLOCK_S * 1000};
    int code = 0;
    pthread_mutex_lock(&wait_lock);
    while (atomic_load(&synced) <= sequence && !roused && code != ETIMEDOUT)
        code = pthread_cond_timedwait(&wait_cond, &wait_lock, &until);
    roused = false;
    pthread_mutex_unlock(&wait_lock);
}

void journal_rouse(void)
{
    pthread_mutex_lock(&wait_lock);
    roused = true;
    pthread_cond_broadcast(&wait_cond);
    pthread_mutex_unlock(&wait_lock);
}

int64_t journal_bytes(void)
{
    return atomic_load(&bytes_kept);
}

void journal_shrink(int64_t bytes)
{
    atomic_fetch_sub(&bytes_kept, bytes);
}
