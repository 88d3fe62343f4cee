/* SPDX-License-Identifier: Apache-2.0 */
#include "base/url.h"

#include "base/hex.h"
#include "base/utf8.h"

static const struct str absent = {NULL, 0};

/*
 * The character at *at, decoded, moving *at behind it; -1 for a bad escape and for NUL, which no
 * text of ours may hold.
 */
static int next_char(struct str s, size_t *at, bool plus)
{
    unsigned char c = (unsigned char)s.p[(*at)++];
    if (c == '%') {
        if (s.n - *at < 2 || !hex_decode(str_of(s.p + *at, 2), &c, 1))
            return -1;
        *at += 2;
    } else if (c == '+' && plus) {
        c = ' ';
    }
    return c == '\0' ? -1 : c;
}

struct str url_decode(struct arena *a, struct str s, bool plus)
{
    char *out = s.p ? arena_try(a, s.n + 1) : NULL;
    size_t n = 0;
    if (!out)
        return absent;
    for (size_t i = 0; i < s.n;) {
        int c = next_char(s, &i, plus);
        if (c < 0)
            return absent;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return utf8_valid(str_of(out, n)) ? str_of(out, n) : absent;
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool unreserved(char c)
{
    return is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

void url_encode(struct buf *b, struct str s)
{
    static const char hex[] = "0123456789ABCDEF"; /* upper case: RFC 3986 §2.1 */
    for (size_t i = 0; i < s.n;) {
        size_t from = i;
        while (i < s.n && unreserved(s.p[i]))
            i++;
        buf_add(b, s.p + from, i - from);
        if (i < s.n) {
            unsigned char c = (unsigned char)s.p[i++];
            buf_add(b, (char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
        }
    }
}

/* Cuts the next name=value off *rest, neither decoded. Empty pieces ("a=1&&b") are passed over. */
static bool next_pair(struct str *rest, struct str *name, struct str *value)
{
    while (rest->p) {
        struct str pair;
        str_cut(*rest, '&', &pair, rest);
        if (pair.n == 0)
            continue;
        if (!str_cut(pair, '=', name, value))
            *value = str_of(pair.p + pair.n, 0);
        return true;
    }
    return false;
}

/* Compares without memory, since most names in a query are not the one that is asked for. */
static bool decodes_to(struct str s, struct str text)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; n++) {
        int c = next_char(s, &i, true);
        if (c < 0 || n >= text.n || (unsigned char)text.p[n] != c)
            return false;
    }
    return n == text.n;
}

struct str url_query_get(struct arena *a, struct str query, const char *name)
{
    struct str wanted = str_from(name), n, v;
    while (next_pair(&query, &n, &v))
        if (decodes_to(n, wanted))
            return url_decode(a, v, true);
    return absent;
}

bool url_query_next(struct arena *a, struct str *rest, struct str *name, struct str *value)
{
    struct str n, v;
    if (!next_pair(rest, &n, &v))
        return false;
    *name = url_decode(a, n, true);
    *value = url_decode(a, v, true);
    return true;
}

/* RFC 3986 §3.1. */
static bool is_scheme(struct str s)
{
    if (s.n == 0 || !is_alpha(s.p[0]))
        return false;
    for (size_t i = 1; i < s.n; i++)
        if (!is_alpha(s.p[i]) && !is_digit(s.p[i]) && s.p[i] != '+' && s.p[i] != '-'
            && s.p[i] != '.')
            return false;
    return true;
}

/* Controls, space and what RFC 3986 gives no place; parsers disagree about them. */
static bool has_foreign(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f || memchr("\"<>\\^`{|}", s.p[i], 9))
            return true;
    return false;
}

/* Up to the first of the stop characters; *rest begins with it. */
static struct str take_until(struct str *rest, const char *stops)
{
    size_t n = 0;
    while (n < rest->n && !strchr(stops, rest->p[n]))
        n++;
    struct str head = str_of(rest->p, n);
    *rest = str_from_at(*rest, n);
    return head;
}

static bool parse_port(struct str s, int *out)
{
    uint64_t port = 0;
    *out = -1;
    if (s.n == 0) /* "host:" is allowed and means the default */
        return true;
    if (s.n > 5 || !str_to_u64(s, &port) || port > 65535)
        return false;
    *out = (int)port;
    return true;
}

/* [userinfo@]host[:port], the host of a literal IPv6 address without its brackets. */
static bool parse_authority(struct str s, struct url_parts *u)
{
    for (size_t i = s.n; i > 0; i--) {
        if (s.p[i - 1] != '@')
            continue;
        u->userinfo = str_of(s.p, i - 1);
        s = str_from_at(s, i);
        break;
    }
    u->port = -1;
    if (s.n > 0 && s.p[0] == '[') {
        size_t close = 0;
        if (!str_find_char(s, ']', &close))
            return false;
        u->host = str_of(s.p + 1, close - 1);
        s = str_from_at(s, close + 1);
        if (u->host.n == 0 || memchr(u->host.p, '[', u->host.n))
            return false;
        return s.n == 0 || (s.p[0] == ':' && parse_port(str_from_at(s, 1), &u->port));
    }
    struct str port;
    if (str_cut(s, ':', &u->host, &port) && !parse_port(port, &u->port))
        return false;
    return !(u->host.n && (memchr(u->host.p, '[', u->host.n) || memchr(u->host.p, ']', u->host.n)));
}

bool url_parse(struct str s, struct url_parts *out)
{
    struct url_parts u = {0};
    struct str rest;
    if (has_foreign(s) || !str_cut(s, ':', &u.scheme, &rest) || !is_scheme(u.scheme)
        || !str_starts(rest, S("//")))
        return false;
    rest = str_from_at(rest, 2);
    if (!parse_authority(take_until(&rest, "/?#"), &u))
        return false;
    u.path = take_until(&rest, "?#");
    if (rest.n > 0 && rest.p[0] == '?') {
        rest = str_from_at(rest, 1);
        u.query = take_until(&rest, "#");
    }
    if (rest.n > 0)
        u.fragment = str_from_at(rest, 1);
    *out = u;
    return true;
}
