/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses as networks: what one subscriber has is one address of IPv4 or 64 bits of IPv6, so that
 * is what counters and session bindings compare. Pure.
 */
#ifndef GUARD_NETWORK_H
#define GUARD_NETWORK_H

#include "base/str.h"

struct network {
    unsigned char bytes[8];
    unsigned
        n; /* 4: an IPv4 address (also one mapped into IPv6); 8: a /64 of IPv6; 0: no address */
};

struct network network_of(struct str ip);
bool network_same(struct network a, struct network b);
/* Of this machine or of a private network (RFC 1918, 4193, 6598): a proxy's, not a stranger's. */
bool network_private(struct network w);

static inline struct str network_bytes(const struct network *w)
{
    return str_of((const char *)w->bytes, w->n);
}

#endif
