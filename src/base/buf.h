/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte buffer with a hard maximum and a sticky `failed`: write without checking, look
 * once at the end. Backed by malloc (buf_free) or by an arena (never freed by hand).
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/arena.h"

struct buf {
    char *p;
    size_t n, cap;
    size_t max_bytes;
    struct arena *arena; /* NULL: malloc */
    bool failed;         /* something did not fit; contents are then unusable */
};

/* Nothing is allocated before the first byte. */
void buf_init(struct buf *b, size_t max_bytes);
void buf_init_arena(struct buf *b, struct arena *a, size_t max_bytes);
void buf_free(struct buf *b);
/* Empties, keeps the memory, clears `failed`. */
void buf_reset(struct buf *b);

/* Room for n more bytes at b->p + b->n; false (and failed) when over the maximum. */
bool buf_reserve(struct buf *b, size_t n);
void buf_add(struct buf *b, const void *p, size_t n);
void buf_str(struct buf *b, struct str s);
void buf_char(struct buf *b, char c);
void buf_i64(struct buf *b, int64_t v);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Drops n bytes from the front (n ≤ b->n). */
void buf_consume(struct buf *b, size_t n);

#define BUF_LIT(b, lit) buf_add((b), (lit), sizeof(lit) - 1)

static inline struct str buf_view(const struct buf *b)
{
    return (struct str){b->p ? b->p : "", b->n};
}

#endif
