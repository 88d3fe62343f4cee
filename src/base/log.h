/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's log: one JSON object a line, to stderr or a file, through a bounded ring and a
 * writer thread of its own, so that a stalled pipe drops and counts and stops nobody. Toolbox code
 * never logs; app/, cli/ and long-lived workers do. Never takes a secret or a body.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/buf.h"
#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_JSON, LOG_TEXT };

/* fd is not closed. Starts the writer thread; before it, and after log_close, lines go out directly. */
void log_open(int fd, enum log_level least, enum log_format format);
/* Waits at most timeout_ms for the ring to drain. */
void log_close(int timeout_ms);
bool log_enabled(enum log_level level);
/* Lines dropped because the ring was full. */
unsigned long long log_dropped(void);

/*
 * A line is built in a buf of the caller (thread-safe), e.g.
 *     struct log_line l;
 *     log_begin(&l, LOG_INFO, "pool.connect_failed");   time, level and event are there
 *     log_str(&l, "host", host); log_i64(&l, "attempt", n);
 *     log_end(&l);
 * A field that would take the line over 4 KiB is left out whole, and "truncated":true marks it.
 */
struct log_line {
    struct buf b;
    char mem[4096];
    bool off, truncated, text;
};

void log_begin(struct log_line *l, enum log_level level, const char *event);
void log_str(struct log_line *l, const char *name, struct str value);
void log_cstr(struct log_line *l, const char *name, const char *value);
void log_i64(struct log_line *l, const char *name, int64_t value);
/* As milliseconds with three decimals. */
void log_ms(struct log_line *l, const char *name, int64_t us);
void log_bool(struct log_line *l, const char *name, bool value);
/* status, code, detail, sqlstate, func, file:line of an error. */
void log_err(struct log_line *l, const struct err *e);
void log_end(struct log_line *l);
/* Event and a printf message in one call. */
void log_say(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
