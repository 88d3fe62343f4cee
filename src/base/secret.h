/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that must not print: keys, passwords, tokens on their way to be checked. A type of its own,
 * so that passing one to a logger or a JSON writer does not compile. Wiped by secret_wipe.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/str.h"

struct secret {
    char *p; /* NUL-terminated behind n; owned */
    size_t n;
};

/* A copy in memory of its own (aborts without memory; n is bounded by the caller). */
struct secret secret_copy(struct str s);
/* Wipes and frees; usable with CLEANUP. */
void secret_wipe(struct secret *s);
/* In constant time for equal lengths. */
bool secret_eq(struct str a, struct str b);
/* Overwrites memory that holds a secret and belongs to someone else (an arena, a body). */
void secret_wipe_bytes(void *p, size_t n);

static inline struct str secret_reveal(const struct secret *s)
{
    return (struct str){s->p, s->n};
}

#endif
