/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hex.h"

void hex_encode(const void *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * n] = '\0';
}

enum { FOREIGN = 16 };

static unsigned nibble(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F')
        return (unsigned)(c - 'A') + 10;
    return FOREIGN;
}

bool hex_decode(struct str s, void *out, size_t n)
{
    unsigned char *p = out;
    if (s.n % 2 != 0 || s.n / 2 != n)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (nibble(s.p[i]) == FOREIGN)
            return false;
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)(nibble(s.p[2 * i]) << 4 | nibble(s.p[2 * i + 1]));
    return true;
}
