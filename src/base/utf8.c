/* SPDX-License-Identifier: Apache-2.0 */
#include "base/utf8.h"

#define HIGH_BITS 0x8080808080808080ULL

static bool continues(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

/*
 * Bytes of the well-formed sequence at p (n ≥ 1 bytes left), 0 when there is none. The bounds of
 * the second byte (RFC 3629 §4) shut out overlong forms, surrogates and what is over U+10FFFF.
 */
static size_t sequence(const unsigned char *p, size_t n)
{
    unsigned char lead = p[0];
    if (lead < 0x80)
        return 1;
    if (lead < 0xC2 || lead > 0xF4 || n < 2 || !continues(p[1]))
        return 0;
    if (lead < 0xE0)
        return 2;
    size_t want = lead < 0xF0 ? 3 : 4;
    if (n < want)
        return 0;
    if ((lead == 0xE0 && p[1] < 0xA0) || (lead == 0xED && p[1] > 0x9F)
        || (lead == 0xF0 && p[1] < 0x90) || (lead == 0xF4 && p[1] > 0x8F))
        return 0;
    for (size_t i = 2; i < want; i++)
        if (!continues(p[i]))
            return 0;
    return want;
}

size_t utf8_next(struct str s, size_t at)
{
    return at < s.n ? sequence((const unsigned char *)s.p + at, s.n - at) : 0;
}

bool utf8_valid(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t i = 0;
    while (i < s.n) {
        uint64_t word;
        while (s.n - i >= sizeof(word)) { /* eight ASCII bytes at once */
            memcpy(&word, p + i, sizeof(word));
            if (word & HIGH_BITS)
                break;
            i += sizeof(word);
        }
        if (i == s.n)
            return true;
        size_t n = sequence(p + i, s.n - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

size_t utf8_length(struct str s)
{
    size_t points = 0;
    for (size_t i = 0; i < s.n; i++)
        points += !continues((unsigned char)s.p[i]);
    return points;
}
