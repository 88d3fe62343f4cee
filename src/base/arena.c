/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
/* A poisoned gap behind each piece, so that running over its end is found. */
enum { REDZONE = 16 };
#define poison(p, n)   ASAN_POISON_MEMORY_REGION((p), (n))
#define unpoison(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
enum { REDZONE = 0 };
#define poison(p, n)   ((void)(p), (void)(n))
#define unpoison(p, n) ((void)(p), (void)(n))
#endif

enum {
    ALIGN = 16,
    FIRST_BLOCK = 4096,  /* a small request fits; an idle connection that never grew costs this */
    KEPT_BLOCK = 16384,  /* the most that survives a reset */
    LARGEST_STEP = 65536 /* beyond it a block is made to measure */
};

struct arena_block {
    struct arena_block *next;
    size_t cap; /* bytes of data */
    _Alignas(16) char data[];
};

void arena_init(struct arena *a, size_t budget_bytes)
{
    *a = (struct arena){.budget_bytes = budget_bytes};
}

static void block_free(struct arena_block *b)
{
    unpoison(b->data, b->cap);
    free(b);
}

static void arena_use(struct arena *a, struct arena_block *b)
{
    a->next = b->data;
    a->end = b->data + b->cap;
}

void arena_reset(struct arena *a)
{
    struct arena_block *kept = NULL, *b = a->blocks;
    while (b) {
        struct arena_block *older = b->next;
        if (b->cap + sizeof(*b) <= KEPT_BLOCK && (!kept || b->cap > kept->cap)) {
            if (kept)
                block_free(kept);
            kept = b;
        } else {
            block_free(b);
        }
        b = older;
    }
    *a = (struct arena){.budget_bytes = a->budget_bytes, .blocks = kept};
    if (!kept)
        return;
    kept->next = NULL;
    poison(kept->data, kept->cap);
    arena_use(a, kept);
}

void arena_wipe(struct arena *a)
{
    for (struct arena_block *b = a->blocks; b; b = b->next) {
        size_t used = b == a->blocks ? (size_t)(a->next - b->data)
                                     : b->cap; /* only the first has room left */
        unpoison(b->data, used);
        explicit_bzero(b->data, used);
    }
}

void arena_close(struct arena *a)
{
    for (struct arena_block *b = a->blocks; b;) {
        struct arena_block *older = b->next;
        block_free(b);
        b = older;
    }
    *a = (struct arena){.budget_bytes = a->budget_bytes};
}

static struct arena_block *block_new(size_t cap)
{
    struct arena_block *b = cap <= PTRDIFF_MAX - sizeof(*b) ? malloc(sizeof(*b) + cap) : NULL;
    if (!b)
        return NULL;
    b->next = NULL;
    b->cap = cap;
    poison(b->data, b->cap);
    return b;
}

/* A block made to measure, behind the newest one, whose rest stays in use. */
static char *arena_add_apart(struct arena *a, size_t n)
{
    struct arena_block **link = a->blocks ? &a->blocks->next : &a->blocks;
    struct arena_block *b = block_new(n);
    if (!b)
        return NULL;
    if (!a->blocks)
        a->next = a->end = b->data + b->cap;
    b->next = *link;
    *link = b;
    return b->data;
}

/* Room for n (already rounded) bytes outside the current block; NULL without memory. */
static char *arena_grow(struct arena *a, size_t n)
{
    size_t step = a->blocks ? (a->blocks->cap + sizeof(struct arena_block)) * 2 : FIRST_BLOCK;
    if (step > LARGEST_STEP)
        step = LARGEST_STEP;
    if (n > step / 2)
        return arena_add_apart(a, n);

    struct arena_block *b = block_new(step - sizeof(*b));
    if (!b)
        return NULL;
    b->next = a->blocks;
    a->blocks = b;
    arena_use(a, b);
    a->next += n;
    return b->data;
}

/* What a piece takes of its block. An empty one still has an address of its own. */
static size_t room_of(size_t n)
{
    return ((n ? n : 1) + REDZONE + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static void *arena_take(struct arena *a, size_t n)
{
    if (n > PTRDIFF_MAX - ALIGN - REDZONE)
        return NULL;
    size_t room = room_of(n);

    char *p = a->next;
    if (room <= (size_t)(a->end - a->next))
        a->next += room;
    else
        p = arena_grow(a, room);
    if (p)
        unpoison(p, n);
    return p;
}

void *arena_alloc(struct arena *a, size_t n)
{
    void *p = arena_take(a, n);
    BUG(!p);
    return memset(p, 0, n);
}

void *arena_try(struct arena *a, size_t n)
{
    if (a->used_bytes > a->budget_bytes || n > a->budget_bytes - a->used_bytes)
        return NULL;
    void *p = arena_take(a, n);
    if (p)
        a->used_bytes += n;
    return p;
}

bool arena_extend(struct arena *a, void *p, size_t old_n, size_t n)
{
    char *start = p;
    size_t left = (size_t)(a->end - a->next);
    if (start + room_of(old_n) != a->next || n < old_n
        || n - old_n > a->budget_bytes - a->used_bytes || n - old_n > left
        || room_of(n) - room_of(old_n) > left)
        return false;
    a->next += room_of(n) - room_of(old_n);
    a->used_bytes += n - old_n;
    unpoison(start, n);
    return true;
}

void *arena_try_array(struct arena *a, size_t count, size_t size)
{
    size_t n = 0;
    if (__builtin_mul_overflow(count, size, &n))
        return NULL;
    return arena_try(a, n);
}

struct str arena_str(struct arena *a, struct str s)
{
    char *p = s.p ? arena_try(a, s.n + 1) : NULL;
    if (!p)
        return str_of(NULL, 0);
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return str_of(p, s.n);
}

const char *arena_cstr(struct arena *a, struct str s)
{
    if (s.n > 0 && memchr(s.p, '\0', s.n))
        return NULL;
    return arena_str(a, s).p;
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    BUG(n < 0);

    char *p = arena_take(a, (size_t)n + 1);
    BUG(!p);
    va_start(args, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, args);
    va_end(args);
    return str_of(p, (size_t)n);
}
