/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/access.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Never changed once it can be seen; former ones stay, since somebody may be looking: grants are rare. */
struct roles {
    struct roles *former;
    size_t n;
    char names[]; /* each ends in a NUL */
};

static _Atomic(struct roles *) now;
static atomic_bool missed;

void access_set(struct str roles)
{
    struct roles *former = atomic_load(&now);
    if (former && str_eq(str_of(former->names, former->n), roles))
        return;
    struct roles *r = calloc(1, sizeof(*r) + roles.n);
    BUG(!r);
    if (roles.n)
        memcpy(r->names, roles.p, roles.n);
    r->n = roles.n;
    r->former = former;
    atomic_store_explicit(&now, r, memory_order_release);
}

bool access_known(void)
{
    return atomic_load(&now) != NULL;
}

bool access_check(struct str role, struct err *e)
{
    const struct roles *r = atomic_load_explicit(&now, memory_order_acquire);
    struct str name, rest = r ? str_of(r->names, r->n) : (struct str){0};
    while (role.n && rest.n && str_cut(rest, '\0', &name, &rest))
        if (str_eq(name, role))
            return true;
    atomic_store_explicit(&missed, true, memory_order_relaxed);
    return err_set(e, 403, "insufficient_privilege", "permission denied to set role \"%.*s\"",
                   role.n < 64 ? (int)role.n : 63, role.p ? role.p : "");
}

bool access_missed(void)
{
    return atomic_exchange(&missed, false);
}

void access_close(void)
{
    for (struct roles *r = atomic_exchange(&now, NULL), *former; r; r = former) {
        former = r->former;
        free(r);
    }
}
