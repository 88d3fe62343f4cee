/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

#include <stdlib.h>

#include "base/err.h"

struct secret secret_copy(struct str s)
{
    if (!s.p)
        return (struct secret){NULL, 0};
    char *p = malloc(s.n + 1);
    BUG(!p);
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (struct secret){p, s.n};
}

void secret_wipe(struct secret *s)
{
    if (s->p)
        explicit_bzero(s->p, s->n);
    free(s->p);
    *s = (struct secret){NULL, 0};
}

bool secret_eq(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    /* volatile: the compiler may not stop at the first difference. Words, since API keys are long. */
    volatile uint64_t diff = 0;
    uint64_t x, y;
    size_t i = 0;
    for (; a.n - i >= sizeof(x); i += sizeof(x)) {
        memcpy(&x, a.p + i, sizeof(x));
        memcpy(&y, b.p + i, sizeof(y));
        diff = diff | (x ^ y);
    }
    for (; i < a.n; i++)
        diff = diff | (unsigned char)(a.p[i] ^ b.p[i]);
    return diff == 0;
}

void secret_wipe_bytes(void *p, size_t n)
{
    if (n)
        explicit_bzero(p, n);
}
