/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void put(struct buf *b, struct str bytes, const char *alphabet, bool pad)
{
    size_t whole = bytes.n / 3, left = bytes.n % 3, room = 0;
    if (__builtin_mul_overflow(whole + 1, (size_t)4, &room)) {
        b->failed = true;
        return;
    }
    room -= left == 0 ? 4 : pad ? 0 : 3 - left;
    if (room == 0 || !buf_reserve(b, room))
        return;

    const unsigned char *in = (const unsigned char *)bytes.p;
    char *out = b->p + b->n;
    for (size_t i = 0; i < whole; i++, in += 3, out += 4) {
        unsigned v = (unsigned)in[0] << 16 | (unsigned)in[1] << 8 | in[2];
        out[0] = alphabet[v >> 18];
        out[1] = alphabet[v >> 12 & 63];
        out[2] = alphabet[v >> 6 & 63];
        out[3] = alphabet[v & 63];
    }
    if (left) {
        unsigned v = (unsigned)in[0] << 16 | (left == 2 ? (unsigned)in[1] << 8 : 0);
        *out++ = alphabet[v >> 18];
        *out++ = alphabet[v >> 12 & 63];
        if (left == 2)
            *out++ = alphabet[v >> 6 & 63];
        for (size_t i = left; pad && i < 3; i++)
            *out++ = '=';
    }
    b->n += room;
}

void base64_put(struct buf *b, struct str bytes)
{
    put(b, bytes, standard, true);
}

void base64_put_url(struct buf *b, struct str bytes)
{
    put(b, bytes, url_safe, false);
}

/* 0..63, or 64 for a foreign character. */
static unsigned sextet(char c, char c62, char c63)
{
    if (c >= 'A' && c <= 'Z')
        return (unsigned)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (unsigned)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0') + 52;
    return c == c62 ? 62 : c == c63 ? 63 : 64;
}

/* s without padding, 4k + 0, 2 or 3 characters. */
static struct str decode(struct arena *a, struct str s, char c62, char c63)
{
    const struct str none = {NULL, 0};
    if (!s.p || s.n % 4 == 1)
        return none;
    size_t n = s.n / 4 * 3 + (s.n % 4 ? s.n % 4 - 1 : 0), at = 0;
    unsigned char *out = arena_try(a, n + 1);
    if (!out)
        return none;
    unsigned bits = 0, held = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned v = sextet(s.p[i], c62, c63);
        if (v > 63)
            return none;
        bits = bits << 6 | v;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[at++] = (unsigned char)(bits >> held);
            bits &= (1U << held) - 1;
        }
    }
    if (bits) /* spare bits that are not zero: a second spelling of the same bytes */
        return none;
    out[n] = '\0';
    return str_of((char *)out, n);
}

struct str base64_decode(struct arena *a, struct str s)
{
    if (!s.p || s.n % 4 != 0)
        return str_of(NULL, 0);
    for (int i = 0; i < 2 && s.n > 0 && s.p[s.n - 1] == '='; i++)
        s.n--;
    return decode(a, s, '+', '/');
}

struct str base64_decode_url(struct arena *a, struct str s)
{
    return decode(a, s, '-', '_');
}
