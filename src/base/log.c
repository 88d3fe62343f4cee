/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/ring.h"

enum {
    RING_BYTES = 1 << 20,
    BATCH = 64,          /* lines a writev */
    STREAM_CHUNK = 4096, /* what a pipe takes without blocking once poll says so (PIPE_BUF) */
    FILE_CHUNK = 65536,
    STALL_POLL_MS = 50, /* how often a stalled writer looks whether it shall end */
    GATHER_MS = 5,      /* while lines flow the writer naps, so that they come in batches */
    QUIET_NAPS = 10,    /* empty naps before it sleeps until it is woken */
    TAIL_ROOM = 32      /* for "truncated":true and the line's end */
};

static _Alignas(RING_PAGE) unsigned char ring_bytes[RING_BYTES];
static struct ring ring = RING_INIT(ring_bytes);
static atomic_ullong dropped;

static atomic_int out_fd = STDERR_FILENO;
static atomic_int least_level = LOG_INFO;
static atomic_int out_format = LOG_JSON;

/* Guarded by state_lock, which only log_open and log_close take. */
static pthread_mutex_t state_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_t writer;
static bool lost_writer; /* would not end, and still reads the ring */
static bool wake_made;

static atomic_bool writer_ended;   /* nothing but its join is left */
static atomic_bool running;        /* lines go through the ring */
static atomic_bool deaf;           /* closed on a stalled descriptor: a direct write would hang */
static _Atomic int64_t stop_at_us; /* monotonic; INT64_MAX: not asked to stop */

/* ---- The writer ---------------------------------------------------------------------------- */

static bool shall_stop(void)
{
    return clock_mono_us() >= atomic_load(&stop_at_us);
}

/* Waits for room in a pipe, socket or terminal; false when it is time to end instead. */
static bool wait_writable(int fd)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        int n = poll(&p, 1, STALL_POLL_MS);
        if (n > 0 || (n < 0 && errno != EINTR))
            return true; /* also on an error, which the write will then report */
        if (shall_stop())
            return false;
    }
}

/* Bytes written; the whole of it when the descriptor is broken, since the lines have no other. */
static ssize_t write_some(int fd, const struct iovec *iov, int count, size_t all)
{
    for (;;) {
        if (!wait_writable(fd))
            return -1;
        ssize_t n = writev(fd, iov, count);
        if (n >= 0)
            return n;
        if (errno != EINTR && errno != EAGAIN) {
            atomic_fetch_add(&dropped, 1);
            return (ssize_t)all;
        }
    }
}

static bool write_all(int fd, struct iovec *iov, int count, size_t all)
{
    while (all > 0) {
        ssize_t n = write_some(fd, iov, count, all);
        if (n < 0)
            return false;
        all -= (size_t)n;
        for (size_t done = (size_t)n; done > 0;) {
            size_t step = done < iov->iov_len ? done : iov->iov_len;
            iov->iov_base = (char *)iov->iov_base + step;
            iov->iov_len -= step;
            done -= step;
            if (iov->iov_len == 0 && count > 1) {
                iov++;
                count--;
            }
        }
    }
    return true;
}

static size_t chunk_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? FILE_CHUNK : STREAM_CHUNK;
}

/* Writes one batch of published lines. False when there was none, or when it is time to end. */
static bool write_batch(int fd, size_t chunk)
{
    struct iovec iov[BATCH];
    uint64_t pos = ring_begin(&ring), next = pos;
    struct str piece[2];
    size_t all = 0;
    int count = 0;
    while (count + 2 <= BATCH && ring_next(&ring, &next, piece)) {
        size_t n = piece[0].n + piece[1].n;
        if (count > 0 && all + n > chunk)
            break;
        for (int i = 0; i < 2; i++)
            if (piece[i].n > 0)
                iov[count++] = (struct iovec){(void *)(uintptr_t)piece[i].p, piece[i].n};
        all += n;
        pos = next;
    }
    if (count == 0 || !write_all(fd, iov, count, all))
        return false;
    ring_take(&ring, pos);
    return true;
}

static void finish(struct log_line *l);

/* Says, once a second at most, how many lines went missing. False while there are some to tell. */
static bool report_dropped(void)
{
    static unsigned long long reported; /* of the one writer, and its successors */
    static int64_t reported_us;
    unsigned long long now = atomic_load(&dropped);
    if (now == reported)
        return true;
    if (clock_mono_us() - reported_us < CLOCK_S)
        return false;
    struct log_line l;
    log_begin(&l, LOG_WARN, "log.dropped");
    log_i64(&l, "lines", (int64_t)(now - reported));
    if (!l.off) {
        finish(&l); /* and never directly, where a stalled pipe would hold the writer */
        if (!ring_push(&ring, l.b.p, l.b.n))
            return false;
    }
    reported = now;
    reported_us = clock_mono_us();
    return true;
}

static void nap(void)
{
    struct timespec t = {.tv_nsec = GATHER_MS * 1000000L};
    nanosleep(&t, NULL);
}

static bool asked_to_stop(void)
{
    return atomic_load(&stop_at_us) != INT64_MAX;
}

static void *writer_main(void *arg)
{
    int quiet = 0;
    (void)arg;
    for (;;) {
        int fd = atomic_load(&out_fd);
        size_t chunk = chunk_of(fd);
        bool wrote = false;
        while (write_batch(fd, chunk))
            wrote = true;
        bool told = report_dropped();
        if (asked_to_stop() && (ring_empty(&ring) || shall_stop()))
            break;
        quiet = wrote ? 0 : quiet + 1;
        if (quiet <= QUIET_NAPS || !told) {
            nap();
            continue;
        }
        ring_release(&ring);
        ring_sleep(&ring, asked_to_stop);
    }
    atomic_store(&writer_ended, true);
    return NULL;
}

/* ---- Opening and closing -------------------------------------------------------------------- */

void log_open(int fd, enum log_level least, enum log_format format)
{
    pthread_mutex_lock(&state_lock);
    atomic_store(&out_fd, fd);
    atomic_store(&least_level, (int)least);
    atomic_store(&out_format, (int)format);
    if (!atomic_load(&running) && !lost_writer) {
        /* The writer takes no signals: they are for the loops, and SIGPIPE becomes EPIPE. */
        sigset_t all, before;
        sigfillset(&all);
        atomic_store(&stop_at_us, INT64_MAX);
        atomic_store(&deaf, false);
        atomic_store(&writer_ended, false);
        if (!wake_made) /* once: a late producer may still hold it when the log is closed */
            ring_open(&ring);
        wake_made = true;
        pthread_sigmask(SIG_SETMASK, &all, &before);
        /* Without a thread (limits) lines go on being written directly. */
        atomic_store(&running, pthread_create(&writer, NULL, writer_main, NULL) == 0);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    pthread_mutex_unlock(&state_lock);
}

void log_close(int timeout_ms)
{
    pthread_mutex_lock(&state_lock);
    if (atomic_exchange(&running, false)) {
        atomic_store(&stop_at_us, clock_mono_us() + timeout_ms * CLOCK_MS);
        ring_wake(&ring);
        /* It ends by itself at that time; the rest is for a terminal that blocks in mid-write. */
        int64_t until_us = clock_mono_us() + timeout_ms * CLOCK_MS + CLOCK_S;
        while (!atomic_load(&writer_ended) && clock_mono_us() < until_us)
            nap();
        lost_writer = !atomic_load(&writer_ended);
        if (lost_writer)
            pthread_detach(writer);
        else
            pthread_join(writer, NULL);
        atomic_store(&deaf, !ring_empty(&ring));
    }
    pthread_mutex_unlock(&state_lock);
}

bool log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&least_level, memory_order_relaxed);
}

unsigned long long log_dropped(void)
{
    return atomic_load_explicit(&dropped, memory_order_relaxed);
}

/* ---- Lines ---------------------------------------------------------------------------------- */

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};

static bool as_text(void)
{
    return atomic_load_explicit(&out_format, memory_order_relaxed) == LOG_TEXT;
}

void log_begin(struct log_line *l, enum log_level level, const char *event)
{
    l->off = !log_enabled(level);
    l->truncated = false;
    if (l->off)
        return;
    l->text = as_text();
    /* cap and maximum are equal, so the buf fails before it would allocate. */
    l->b = (struct buf){
        .p = l->mem, .cap = sizeof(l->mem) - TAIL_ROOM, .max_bytes = sizeof(l->mem) - TAIL_ROOM};
    char time[28];
    clock_rfc3339(clock_wall_us(), time);
    if (l->text) { /* 12:03:04 info  event, UTC as everywhere */
        buf_printf(&l->b, "%.8s %-5s %s", time + 11, level_names[level], event);
        return;
    }
    json_put_open(&l->b, '{');
    json_put_kstr(&l->b, "time", str_from(time));
    json_put_kstr(&l->b, "level", str_from(level_names[level]));
    json_put_kstr(&l->b, "event", str_from(event));
}

static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '"' || s.p[i] == '=' || s.p[i] == '\\')
            return false;
    return s.n > 0;
}

/*
 * For a terminal: quoted and escaped as JSON where needed; DEL and the controls U+0080…9F, which
 * JSON lets through and some terminals obey, become '?'.
 */
static void put_text(struct buf *b, struct str s)
{
    size_t from = b->n;
    if (s.p && is_plain(s)) {
        buf_str(b, s);
        return;
    }
    json_put_str(b, s);
    for (size_t i = from; i < b->n; i++) {
        unsigned char c = (unsigned char)b->p[i];
        if (c == 0x7f)
            b->p[i] = '?';
        if (c == 0xC2 && i + 1 < b->n && ((unsigned char)b->p[i + 1] & 0xE0) == 0x80)
            b->p[i] = b->p[i + 1] = '?';
    }
}

/* Names are literals of ours, with nothing to escape, and never a line's first member. */
static void put_name(struct buf *b, const char *name)
{
    size_t n = strlen(name);
    if (!buf_reserve(b, n + 4))
        return;
    char *p = b->p + b->n;
    memcpy(p, ",\"", 2);
    memcpy(p + 2, name, n);
    memcpy(p + 2 + n, "\":", 2);
    b->n += n + 4;
}

/* Each field is written whole or not at all: begin gives the place to go back to. */
static size_t field_begin(struct log_line *l, const char *name)
{
    size_t mark = l->b.n;
    if (l->text) {
        BUF_LIT(&l->b, "  ");
        buf_str(&l->b, str_from(name));
        buf_char(&l->b, '=');
    } else {
        put_name(&l->b, name);
    }
    return mark;
}

static void field_end(struct log_line *l, size_t mark)
{
    if (!l->b.failed)
        return;
    l->b.n = mark;
    l->b.failed = false;
    l->truncated = true;
}

void log_str(struct log_line *l, const char *name, struct str value)
{
    if (l->off)
        return;
    size_t mark = field_begin(l, name);
    if (l->text)
        put_text(&l->b, value);
    else
        json_put_str(&l->b, value);
    field_end(l, mark);
}

void log_cstr(struct log_line *l, const char *name, const char *value)
{
    log_str(l, name, str_from(value));
}

void log_i64(struct log_line *l, const char *name, int64_t value)
{
    if (l->off)
        return;
    size_t mark = field_begin(l, name);
    buf_i64(&l->b, value);
    field_end(l, mark);
}

void log_ms(struct log_line *l, const char *name, int64_t us)
{
    if (l->off)
        return;
    size_t mark = field_begin(l, name);
    uint64_t all = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;
    unsigned rest = (unsigned)(all % 1000);
    if (us < 0)
        buf_char(&l->b, '-');
    buf_i64(&l->b, (int64_t)(all / 1000));
    buf_add(&l->b,
            (char[]){'.', (char)('0' + rest / 100), (char)('0' + rest / 10 % 10),
                     (char)('0' + rest % 10)},
            4);
    field_end(l, mark);
}

void log_bool(struct log_line *l, const char *name, bool value)
{
    if (l->off)
        return;
    size_t mark = field_begin(l, name);
    buf_str(&l->b, value ? S("true") : S("false"));
    field_end(l, mark);
}

void log_err(struct log_line *l, const struct err *e)
{
    if (l->off)
        return;
    log_i64(l, "status", e->status);
    if (e->code)
        log_cstr(l, "code", e->code);
    log_cstr(l, "message", e->message);
    if (e->detail[0])
        log_cstr(l, "detail", e->detail);
    if (e->sqlstate[0])
        log_cstr(l, "sqlstate", e->sqlstate);
    if (e->func)
        log_cstr(l, "func", e->func);
    if (e->file) {
        char at[256];
        const char *file = e->file;
        while (strncmp(file, "../", 3) == 0) /* as the build folder sees the tree */
            file += 3;
        int n = snprintf(at, sizeof(at), "%s:%d", file, e->line);
        log_str(l, "at", str_of(at, n < (int)sizeof(at) ? (size_t)n : sizeof(at) - 1));
    }
}

static void write_directly(const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = atomic_load(&deaf) ? -1 : write(atomic_load(&out_fd), p, n);
        if (done < 0 && errno == EINTR && !atomic_load(&deaf))
            continue;
        if (done <= 0) {
            atomic_fetch_add(&dropped, 1);
            return;
        }
        p += done;
        n -= (size_t)done;
    }
}

/* Closes the line with the room that was held back for it. */
static void finish(struct log_line *l)
{
    l->b.cap = l->b.max_bytes = sizeof(l->mem);
    if (l->truncated) {
        size_t mark = field_begin(l, "truncated");
        buf_str(&l->b, S("true"));
        field_end(l, mark);
    }
    if (!l->text)
        json_put_close(&l->b, '}');
    buf_char(&l->b, '\n');
}

void log_end(struct log_line *l)
{
    if (l->off)
        return;
    finish(l);
    if (!atomic_load_explicit(&running, memory_order_acquire))
        write_directly(l->b.p, l->b.n);
    else if (!ring_push(&ring, l->b.p, l->b.n))
        atomic_fetch_add(&dropped, 1);
    l->off = true; /* ended: a second log_end writes nothing */
}

void log_say(enum log_level level, const char *event, const char *fmt, ...)
{
    char text[1024];
    struct log_line l;
    log_begin(&l, level, event);
    if (l.off)
        return;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (n >= (int)sizeof(text))
        n = sizeof(text) - 1;
    log_str(&l, "message", str_of(text, n < 0 ? 0 : (size_t)n));
    log_end(&l);
}
