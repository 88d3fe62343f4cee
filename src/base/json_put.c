/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"

/*
 * A value follows another one exactly when the byte before can end a value. Bytes inside a string
 * are never met here: a string that was written whole ends in its quote.
 */
static void comma(struct buf *b)
{
    if (b->n == 0 || b->failed)
        return;
    char c = b->p[b->n - 1];
    if (c == '"' || c == '}' || c == ']' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'))
        buf_char(b, ',');
}

void json_put_open(struct buf *b, char bracket)
{
    comma(b);
    buf_char(b, bracket);
}

void json_put_close(struct buf *b, char bracket)
{
    buf_char(b, bracket);
}

/* What a byte of a string asks for: 0 nothing, 'u' \u00XX, 'm' a look at what follows, else \c. */
static const char escapes[256] = {
    /* clang-format off */
    'u','u','u','u','u','u','u','u','b','t','n','u','f','r','u','u',
    'u','u','u','u','u','u','u','u','u','u','u','u','u','u','u','u',
    ['"'] = '"', ['\\'] = '\\', ['<'] = 'u', ['>'] = 'u', ['&'] = 'u',
    [0x80] = 'm','m','m','m','m','m','m','m','m','m','m','m','m','m','m','m',
    'm','m','m','m','m','m','m','m','m','m','m','m','m','m','m','m',
    'm','m','m','m','m','m','m','m','m','m','m','m','m','m','m','m',
    'm','m','m','m','m','m','m','m','m','m','m','m','m','m','m','m',
    'm','m','m','m','m','m','m','m','m','m','m','m','m','m','m','m',
    'm','m','m','m','m','m','m','m','m','m','m','m','m','m','m','m',
    'm','m','m','m','m','m','m','m','m','m','m','m','m','m','m','m',
    'm','m','m','m','m','m','m','m','m','m','m','m','m','m','m','m',
    /* clang-format on */
};

#define EACH 0x0101010101010101ULL /* one in each byte of a word */

static void put_u(struct buf *b, unsigned c)
{
    static const char hex[] = "0123456789abcdef";
    buf_add(b, (char[]){'\\', 'u', hex[c >> 12], hex[c >> 8 & 15], hex[c >> 4 & 15], hex[c & 15]},
            6);
}

/* U+2028 and U+2029 end a line in JavaScript: E2 80 A8, E2 80 A9. */
static bool is_line_separator(struct str s, size_t at)
{
    return s.n - at >= 3 && (unsigned char)s.p[at] == 0xE2 && (unsigned char)s.p[at + 1] == 0x80
           && ((unsigned char)s.p[at + 2] | 1) == 0xA9;
}

/* A word whose high bit is set in some byte exactly when one of x's bytes is zero. */
static uint64_t has_zero(uint64_t x)
{
    return (x - EACH) & ~x & (EACH << 7);
}

/*
 * The first place at or behind i that a string may not hold as it is, eight bytes at a time: less
 * than a space, '"', '&', '<', '>', '\\' or not ASCII. The last bytes are left to the caller.
 */
static size_t skip_clean(struct str s, size_t i)
{
    uint64_t x;
    for (; s.n - i >= sizeof(x); i += sizeof(x)) {
        memcpy(&x, s.p + i, sizeof(x));
        uint64_t high = x & (EACH << 7), control = (x - EACH * ' ') & ~x & (EACH << 7);
        if (high | control | has_zero(x ^ EACH * '\\')
            | has_zero((x | EACH * 2) ^ EACH * '>')  /* '<' and '>' differ in that bit */
            | has_zero((x | EACH * 4) ^ EACH * '&')) /* so do '"' and '&' */
            break;
    }
    return i;
}

static void put_escaped(struct buf *b, struct str s)
{
    size_t clean = 0, i = 0; /* from clean to i everything goes out as it is */
    while (i < s.n) {
        unsigned char c = (unsigned char)s.p[i];
        char how = escapes[c];
        if (!how) {
            i = skip_clean(s, i + 1);
            continue;
        }
        size_t width = how == 'm' ? utf8_next(s, i) : 1;
        if (how == 'm' && width > 0 && !is_line_separator(s, i)) {
            i += width;
            continue;
        }
        buf_add(b, s.p + clean, i - clean);
        if (how == 'm')
            put_u(b, width == 0 ? 0xFFFD : (unsigned char)s.p[i + 2] == 0xA8 ? 0x2028 : 0x2029);
        else if (how == 'u')
            put_u(b, c);
        else
            buf_add(b, (char[]){'\\', how}, 2);
        i += width ? width : 1;
        clean = i;
    }
    buf_add(b, s.p + clean, i - clean);
}

void json_put_key(struct buf *b, const char *name)
{
    comma(b);
    buf_char(b, '"');
    put_escaped(b, str_from(name));
    BUF_LIT(b, "\":");
}

void json_put_str(struct buf *b, struct str s)
{
    if (!s.p) {
        json_put_null(b);
        return;
    }
    comma(b);
    buf_char(b, '"');
    put_escaped(b, s);
    buf_char(b, '"');
}

void json_put_i64(struct buf *b, int64_t v)
{
    comma(b);
    buf_i64(b, v);
}

void json_put_bool(struct buf *b, bool v)
{
    comma(b);
    buf_str(b, v ? S("true") : S("false"));
}

void json_put_null(struct buf *b)
{
    comma(b);
    BUF_LIT(b, "null");
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Behind the string that begins at `at`, having written what of it needs escapes. */
static size_t raw_string(struct buf *b, struct str s, size_t at, size_t *clean)
{
    for (size_t i = skip_clean(s, at + 1); i < s.n; i++) {
        char c = s.p[i];
        if (c == '"')
            return i + 1;
        if (c == '\\') {
            i++;
        } else if (c == '<' || c == '>' || c == '&') {
            buf_add(b, s.p + *clean, i - *clean);
            put_u(b, (unsigned char)c);
            *clean = i + 1;
        } else if (is_line_separator(s, i)) {
            buf_add(b, s.p + *clean, i - *clean);
            put_u(b, (unsigned char)s.p[i + 2] == 0xA8 ? 0x2028 : 0x2029);
            i += 2;
            *clean = i + 1;
        }
    }
    return s.n;
}

void json_put_raw(struct buf *b, struct str text)
{
    if (!text.p) {
        json_put_null(b);
        return;
    }
    comma(b);
    size_t clean = 0, i = 0;
    while (i < text.n) {
        if (text.p[i] == '"') {
            i = raw_string(b, text, i, &clean);
        } else if (is_space(text.p[i])) {
            buf_add(b, text.p + clean, i - clean);
            clean = ++i;
        } else {
            i++;
        }
    }
    if (clean < text.n)
        buf_add(b, text.p + clean, text.n - clean);
}

void json_put_time(struct buf *b, int64_t wall_us)
{
    char text[28];
    clock_rfc3339(wall_us, text);
    comma(b);
    buf_char(b, '"');
    buf_add(b, text, sizeof(text) - 1);
    buf_char(b, '"');
}

void json_put_kstr(struct buf *b, const char *name, struct str s)
{
    json_put_key(b, name);
    json_put_str(b, s);
}

void json_put_ki64(struct buf *b, const char *name, int64_t v)
{
    json_put_key(b, name);
    json_put_i64(b, v);
}

void json_put_kbool(struct buf *b, const char *name, bool v)
{
    json_put_key(b, name);
    json_put_bool(b, v);
}

void json_put_kraw(struct buf *b, const char *name, struct str text)
{
    json_put_key(b, name);
    json_put_raw(b, text);
}

void json_put_ktime(struct buf *b, const char *name, int64_t wall_us)
{
    json_put_key(b, name);
    json_put_time(b, wall_us);
}
