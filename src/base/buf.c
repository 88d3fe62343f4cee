/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_CAP = 256 };

void buf_init(struct buf *b, size_t max_bytes)
{
    *b = (struct buf){.max_bytes = max_bytes};
}

void buf_init_arena(struct buf *b, struct arena *a, size_t max_bytes)
{
    *b = (struct buf){.max_bytes = max_bytes, .arena = a};
}

void buf_free(struct buf *b)
{
    if (!b->arena)
        free(b->p);
    *b = (struct buf){.max_bytes = b->max_bytes, .arena = b->arena};
}

void buf_reset(struct buf *b)
{
    b->n = 0;
    b->failed = false;
}

/* Memory for cap bytes that begins with the present contents; NULL without. */
static char *buf_move(struct buf *b, size_t cap)
{
    if (!b->arena)
        return realloc(b->p, cap);
    if (b->p && arena_extend(b->arena, b->p, b->cap, cap))
        return b->p;
    char *p = arena_try(b->arena, cap);
    if (p && b->n)
        memcpy(p, b->p, b->n);
    return p;
}

static bool buf_grow(struct buf *b, size_t need)
{
    size_t cap =
        b->cap < FIRST_CAP / 2 ? FIRST_CAP : b->cap * 2; /* cap ≤ max_bytes < half of all */
    if (cap < need)
        cap = need;
    if (cap > b->max_bytes)
        cap = b->max_bytes;
    char *p = buf_move(b, cap);
    if (!p && cap > need) { /* doubling went over the arena's budget: just what is needed may fit */
        cap = need;
        p = buf_move(b, cap);
    }
    if (!p)
        return false;
    b->p = p;
    b->cap = cap;
    return true;
}

bool buf_reserve(struct buf *b, size_t n)
{
    if (b->failed)
        return false;
    if (n <= b->cap - b->n)
        return true;
    if (b->n > b->max_bytes || n > b->max_bytes - b->n || !buf_grow(b, b->n + n))
        b->failed = true;
    return !b->failed;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    if (n == 0 || !buf_reserve(b, n))
        return;
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

void buf_str(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.n);
}

void buf_char(struct buf *b, char c)
{
    if (!buf_reserve(b, 1))
        return;
    b->p[b->n++] = c;
}

void buf_i64(struct buf *b, int64_t v)
{
    char text[20], *p = text + sizeof(text);
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do {
        *--p = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    if (v < 0)
        *--p = '-';
    buf_add(b, p, (size_t)(text + sizeof(text) - p));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    if (b->failed)
        return;
    va_list args;
    size_t room = b->cap - b->n;
    va_start(args, fmt);
    int n = vsnprintf(room ? b->p + b->n : NULL, room, fmt, args);
    va_end(args);
    if (n < 0) {
        b->failed = true;
        return;
    }
    if ((size_t)n >= room) { /* the NUL needs a byte too, which is not kept */
        if (!buf_reserve(b, (size_t)n + 1))
            return;
        va_start(args, fmt);
        vsnprintf(b->p + b->n, (size_t)n + 1, fmt, args);
        va_end(args);
    }
    b->n += (size_t)n;
}

void buf_consume(struct buf *b, size_t n)
{
    if (n >= b->n) {
        b->n = 0;
        return;
    }
    if (n == 0)
        return;
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}
