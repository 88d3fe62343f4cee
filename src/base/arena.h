/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's memory: bump allocation, freed all at once. One owner, one thread at a time.
 * Blocks are kept up to 16 KiB across arena_reset so that a keep-alive connection allocates
 * nothing; freed memory is poisoned under ASan. Work handed to a thread never points here.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/str.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    char *next, *end;           /* free part of the newest block */
    size_t used_bytes;          /* handed out by arena_try since the last reset */
    size_t budget_bytes;        /* for arena_try; program-fixed sizes are not counted against it */
};

/* budget_bytes bounds what arena_try hands out between two resets. */
void arena_init(struct arena *a, size_t budget_bytes);
void arena_reset(struct arena *a);
/* Overwrites what was handed out since the last reset; nothing may use it any more. For memory that
 * held passwords or tokens, before arena_reset or arena_close. */
void arena_wipe(struct arena *a);
void arena_close(struct arena *a);

/* n is fixed by the program: zeroed, aligned to 16, never NULL (out of memory aborts). */
void *arena_alloc(struct arena *a, size_t n);
#define arena_new(a, T, count) ((T *)arena_alloc((a), sizeof(T) * (count)))
/* n comes from a client: NULL over the budget or without memory. Not zeroed. */
void *arena_try(struct arena *a, size_t n);
/* count * size, checked. */
void *arena_try_array(struct arena *a, size_t count, size_t size);
/*
 * Lets the piece p of old_n bytes, had from arena_try, grow to n where it lies; false, nothing
 * changed, when another piece was taken since, or over the block or the budget.
 */
bool arena_extend(struct arena *a, void *p, size_t old_n, size_t n);
/* Copies, NUL-terminated behind the end; .p is NULL over the budget or when s is absent. */
struct str arena_str(struct arena *a, struct str s);
/*
 * NUL-terminated C string for libc and libpq; NULL over the budget, when s is absent, and when s
 * has a NUL inside: it would be cut there and mean something else.
 */
const char *arena_cstr(struct arena *a, struct str s);
/* For messages of bounded length: never NULL. */
struct str arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
