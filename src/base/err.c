/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* vsnprintf may have cut inside a character: takes an incomplete UTF-8 sequence off the end. */
static void drop_partial_char(char *text)
{
    size_t n = strlen(text), start = n, tail = 0;
    while (start > 0 && tail < 4 && ((unsigned char)text[start - 1] & 0xC0) == 0x80) {
        start--;
        tail++;
    }
    if (start == 0)
        return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t want = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
    if (tail < want)
        text[start - 1] = '\0';
}

__attribute__((format(printf, 3, 0))) static void print_cut(char *out, size_t size, const char *fmt,
                                                            va_list args)
{
    int n = vsnprintf(out, size, fmt, args);
    if (n < 0)
        out[0] = '\0';
    else if ((size_t)n >= size)
        drop_partial_char(out);
}

bool err_at(struct err *e, const char *file, const char *func, int line, int status,
            const char *code, const char *fmt, ...)
{
    /* Formatted aside first: an argument may well point into the record that is replaced. */
    struct err fresh = {.status = status, .code = code, .file = file, .func = func, .line = line};
    va_list args;
    va_start(args, fmt);
    print_cut(fresh.message, sizeof(fresh.message), fmt, args);
    va_end(args);
    *e = fresh;
    return false;
}

bool err_detail(struct err *e, const char *fmt, ...)
{
    char text[sizeof(e->detail)];
    va_list args;
    va_start(args, fmt);
    print_cut(text, sizeof(text), fmt, args);
    va_end(args);
    memcpy(e->detail, text, sizeof(text));
    return false;
}

void err_clear(struct err *e)
{
    *e = (struct err){0};
}

void err_bug(const char *what, const char *file, int line)
{
    dprintf(STDERR_FILENO, "BUG: %s at %s:%d\n", what, file, line);
    abort();
}
