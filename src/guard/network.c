/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/network.h"

#include <arpa/inet.h>

struct network network_of(struct str ip)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct network w = {0};
    unsigned char v6[16];
    char text[INET6_ADDRSTRLEN];
    if (ip.n == 0 || ip.n >= sizeof(text))
        return w;
    memcpy(text, ip.p, ip.n);
    text[ip.n] = '\0';
    if (inet_pton(AF_INET, text, w.bytes) == 1) {
        w.n = 4;
    } else if (inet_pton(AF_INET6, text, v6) == 1) {
        bool v4 = memcmp(v6, mapped, sizeof(mapped)) == 0;
        w.n = v4 ? 4 : 8;
        memcpy(w.bytes, v4 ? v6 + 12 : v6, w.n);
    }
    return w;
}

bool network_same(struct network a, struct network b)
{
    return a.n == b.n && memcmp(a.bytes, b.bytes, a.n) == 0;
}

bool network_private(struct network w)
{
    static const unsigned char loopback6[8] = {0}; /* ::1; the rest of ::/64 is nobody's */
    const unsigned char *b = w.bytes;
    if (w.n == 8)
        return (b[0] & 0xfe) == 0xfc || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80)
               || memcmp(b, loopback6, 8) == 0;
    return w.n == 4
           && (b[0] == 127 || b[0] == 10 || (b[0] == 172 && (b[1] & 0xf0) == 16)
               || (b[0] == 192 && b[1] == 168) || (b[0] == 100 && (b[1] & 0xc0) == 64));
}
