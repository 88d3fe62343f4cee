/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one error record. Functions that can fail take `struct err *e` last, return bool, and set e
 * exactly when they return false. message is safe to show to a caller; detail is for the log only.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

struct err {
    int status;        /* HTTP status; jobs and the CLI map it too. 0: no error */
    const char *code;  /* stable, static storage */
    char message[512]; /* safe to show */
    char detail[320];  /* log only */
    char sqlstate[6];  /* "" unless PostgreSQL said it */
    int retry_after_s; /* > 0: answer carries Retry-After */
    const char *reasons; /* of "weak_password": JSON array, static storage */
    const char *file, *func;
    int line;
};

/* Fills e (clearing what it held) and is false, so that `return err_set(…)` reads as failing. */
#define err_set(e, status, code, ...) \
    err_at((e), __FILE__, __func__, __LINE__, (status), (code), __VA_ARGS__)
bool err_at(struct err *e, const char *file, const char *func, int line, int status,
            const char *code, const char *fmt, ...) __attribute__((format(printf, 7, 8)));
/* Replaces the log-only part; is false too. */
bool err_detail(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void err_clear(struct err *e);

/* Our own mistakes only, never what a client or the database can send. Stays on in release. */
#define BUG(cond) ((cond) ? err_bug(#cond, __FILE__, __LINE__) : (void)0)
_Noreturn void err_bug(const char *what, const char *file, int line);

#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define MUST_CHECK  __attribute__((warn_unused_result))

#endif
