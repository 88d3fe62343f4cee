/* SPDX-License-Identifier: Apache-2.0 */
#include "http/head.h"

#include <string.h>

enum { TOKEN = 1, VALUE = 2, TARGET = 4, HOST = 8 };
enum { METHOD_MAX = 32, LENGTH_DIGITS_MAX = 18, PORT_DIGITS_MAX = 5 };

/* Classes of each ASCII byte: field names and methods (RFC 9110 §5.6.2), field values (§5.5),
 * request targets (visible bytes but '#', which RFC 9112 §3.2 has no place for), names of hosts. */
// clang-format off
static const unsigned char classes[128] = {
     0,  0,  0,  0,  0,  0,  0,  0,  0,  2,  0,  0,  0,  0,  0,  0,
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
     2,  7,  6,  3,  7,  7,  7,  7,  6,  6,  7,  7,  6, 15, 15,  6,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15,  6,  6,  6,  6,  6,  6,
     6, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,  6,  6,  6,  7, 15,
     7, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,  6,  7,  6, 15,  0,
};
// clang-format on

/* What decides how long the message is, gathered over all fields and judged at the end. */
struct framing {
    struct str length, coding; /* coding untrimmed */
    unsigned lengths, codings, hosts;
    bool close, keep_alive;
};

static bool refuse(struct err *e, const char *why)
{
    return err_set(e, 400, "bad_request", "malformed request: %s", why);
}

static bool is(char c, unsigned char class)
{
    unsigned char u = (unsigned char)c;
    return u < 128 ? (classes[u] & class) != 0 : class == VALUE; /* obs-text in values only */
}

static bool all(struct str s, unsigned char class)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is(s.p[i], class))
            return false;
    return true;
}

/*
 * all(s, VALUE), eight bytes at a time: values are most of a head and seldom hold what needs a
 * closer look. A byte under 0x20, or 0x7f, leaves its top bit set in low or del.
 */
static bool all_value(struct str s)
{
    const uint64_t ones = ~0ULL / 255, tops = ones * 0x80;
    while (s.n >= 8) {
        uint64_t w, x;
        memcpy(&w, s.p, 8);
        x = w ^ ones * 0x7f;
        uint64_t low = (w - ones * 0x20) & ~w, del = (x - ones) & ~x;
        if (((low | del) & tops) != 0)
            break;
        s = str_of(s.p + 8, s.n - 8);
    }
    return all(s, VALUE);
}

static bool all_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return true;
}

/* ---- where the head ends ---- */

/* Where the request line starts: behind one empty line at most. */
static size_t line_start(struct str bytes)
{
    return bytes.n >= 2 && bytes.p[0] == '\r' && bytes.p[1] == '\n' ? 2 : 0;
}

static bool too_long(bool request_line, struct err *e)
{
    if (request_line)
        return err_set(e, 414, "uri_too_long", "request line longer than %d bytes", HEAD_LINE_MAX);
    return err_set(e, 431, "headers_too_large", "header field longer than %d bytes", HEAD_LINE_MAX);
}

/*
 * Looks at whole lines from *scanned on; *end is behind the empty line, 0 while there is none.
 * Bare LF and length limits are refused here, so that a client that will never send what we wait
 * for hears so at once.
 */
static bool find_end(struct str bytes, size_t *scanned, size_t *end, struct err *e)
{
    size_t start = line_start(bytes);
    *scanned = *scanned > start ? *scanned : start;
    for (;;) {
        const char *line = bytes.p + *scanned;
        size_t left = bytes.n - *scanned;
        const char *lf = left > 0 ? memchr(line, '\n', left) : NULL;
        size_t n = lf ? (size_t)(lf - line) : left;
        if (n > HEAD_LINE_MAX + 1) /* the CR */
            return too_long(*scanned == start, e);
        if (*scanned + n - start > HEAD_BYTES_MAX)
            return err_set(e, 431, "headers_too_large", "headers larger than %d bytes",
                           HEAD_BYTES_MAX);
        if (!lf)
            return true;
        if (n == 0 || line[n - 1] != '\r')
            return refuse(e, "line end without carriage return");
        if (n == 1) {
            *end = *scanned + 2;
            return *scanned > start || refuse(e, "empty request line");
        }
        *scanned += n + 1;
    }
}

/* The next line without its CRLF; all lines in text are whole. */
static struct str next_line(struct str *text)
{
    const char *lf = memchr(text->p, '\n', text->n);
    size_t n = (size_t)(lf - text->p);
    struct str line = str_of(text->p, n - 1);
    *text = str_of(lf + 1, text->n - n - 1);
    return line;
}

/* ---- the request line ---- */

/* host [":" port], where host is a name, an IPv4 address or "[" IPv6 "]" (RFC 3986 §3.2.2). */
static bool host_valid(struct str s)
{
    struct str name, port = {0};
    size_t at;
    if (s.n > 0 && s.p[0] == '[') {
        if (!str_find_char(s, ']', &at) || at < 3)
            return false;
        for (size_t i = 1; i < at; i++)
            if (s.p[i] != ':' && !is(s.p[i], HOST))
                return false;
        if (at + 1 < s.n && s.p[at + 1] != ':')
            return false;
        port = str_from_at(s, at + 2);
    } else {
        str_cut(s, ':', &name, &port);
        if (name.n == 0 || !all(name, HOST))
            return false;
    }
    return port.n <= PORT_DIGITS_MAX && all_digits(port);
}

static void split_path(struct str s, struct head *out)
{
    str_cut(s, '?', &out->path, &out->query);
    if (out->path.n == 0)
        out->path = S("/");
}

/* "http://host/path": its authority goes to out->host and has to equal the Host field later. */
static bool parse_absolute(struct str target, struct head *out, struct err *e)
{
    size_t skip = str_starts_nocase(target, S("http://"))    ? 7
                  : str_starts_nocase(target, S("https://")) ? 8
                                                             : 0;
    if (skip == 0)
        return refuse(e, "invalid request target");
    struct str rest = str_from_at(target, skip);
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    out->host = str_of(rest.p, n);
    split_path(str_from_at(rest, n), out);
    return host_valid(out->host) || refuse(e, "invalid host in request target");
}

static bool parse_target(struct str target, struct head *out, struct err *e)
{
    out->target = target;
    if (target.n == 0 || !all(target, TARGET))
        return refuse(e, "invalid request target");
    if (target.p[0] == '/') {
        split_path(target, out);
        return true;
    }
    if (str_eq(target, S("*"))) {
        out->path = target;
        return out->method == METHOD_OPTIONS || refuse(e, "invalid request target");
    }
    return parse_absolute(target, out, e);
}

static bool parse_version(struct str s, struct head *out, struct err *e)
{
    if (s.n != 8 || !str_starts(s, S("HTTP/")) || s.p[6] != '.' || !all_digits(str_of(s.p + 5, 1))
        || !all_digits(str_of(s.p + 7, 1)))
        return refuse(e, "invalid version");
    if (s.p[5] != '1')
        return err_set(e, 505, "http_version", "only HTTP/1.0 and HTTP/1.1 are spoken here");
    out->minor = s.p[7] != '0'; /* a later minor version is spoken to as 1.1 (RFC 9110 §2.5) */
    return true;
}

static bool parse_request_line(struct str line, struct head *out, struct err *e)
{
    struct str target, version;
    bool three =
        str_cut(line, ' ', &out->method_text, &target) && str_cut(target, ' ', &target, &version);
    if (out->method_text.n == 0 || out->method_text.n > METHOD_MAX || !all(out->method_text, TOKEN))
        return refuse(e, "invalid method");
    out->method = method_parse(out->method_text);
    if (!three)
        return refuse(e, "invalid request line");
    if (!parse_version(version, out, e))
        return false;
    if (str_eq(out->method_text, S("CONNECT")))
        return err_set(e, 501, "not_implemented", "CONNECT is not implemented");
    return parse_target(target, out, e);
}

/* ---- fields ---- */

static void note_connection(struct str value, struct framing *f)
{
    struct str item, rest = value;
    for (bool more = true; more;) {
        more = str_cut(rest, ',', &item, &rest);
        item = str_trim(item);
        f->close = f->close || str_eq_nocase(item, S("close"));
        f->keep_alive = f->keep_alive || str_eq_nocase(item, S("keep-alive"));
    }
}

static bool note_host(struct str value, struct head *out, struct framing *f, struct err *e)
{
    if (f->hosts++ > 0)
        return refuse(e, "more than one Host");
    if (!host_valid(value))
        return refuse(e, "invalid Host");
    if (out->host.p && !str_eq_nocase(out->host, value))
        return refuse(e, "request target and Host differ");
    out->host = value;
    return true;
}

static bool note_expect(struct str value, struct head *out, struct err *e)
{
    out->expect_continue = str_eq_nocase(value, S("100-continue"));
    return out->expect_continue
           || err_set(e, 417, "expectation_failed", "only 100-continue can be expected");
}

/* Fields that say how the message is framed, told apart by length first: most are none of them. */
static bool note_field(struct head_field f, struct str raw, struct head *out, struct framing *fr,
                       struct err *e)
{
    switch (f.name.n) {
    case 4:
        return !str_eq_nocase(f.name, S("host")) || note_host(f.value, out, fr, e);
    case 6:
        return !str_eq_nocase(f.name, S("expect")) || note_expect(f.value, out, e);
    case 10:
        if (str_eq_nocase(f.name, S("connection")))
            note_connection(f.value, fr);
        return true;
    case 14:
        if (str_eq_nocase(f.name, S("content-length"))) {
            fr->length = f.value;
            fr->lengths++;
        }
        return true;
    case 17:
        if (str_eq_nocase(f.name, S("transfer-encoding"))) {
            fr->coding = raw;
            fr->codings++;
        }
        return true;
    default:
        return true;
    }
}

static bool parse_field(struct str line, struct head *out, struct framing *f, struct err *e)
{
    size_t n = 0;
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return refuse(e, "folded header field");
    while (n < line.n && is(line.p[n], TOKEN))
        n++;
    if (n == 0 || n == line.n || line.p[n] != ':')
        return refuse(e, "invalid header field name");
    struct str raw = str_of(line.p + n + 1, line.n - n - 1);
    if (!all_value(raw))
        return refuse(e, "invalid character in a header field");
    if (out->field_count == HEAD_FIELDS_MAX)
        return err_set(e, 431, "headers_too_large", "more than %d header fields", HEAD_FIELDS_MAX);
    struct head_field field = {str_of(line.p, n), str_trim(raw)};
    out->fields[out->field_count++] = field;
    return note_field(field, raw, out, f, e);
}

/* ---- framing ---- */

/* Codings that exist, before a final chunked: understood, but not done here. */
static bool coding_unsupported(struct str value)
{
    static const struct str known[] = {S_INIT("gzip, chunked"), S_INIT("deflate, chunked"),
                                       S_INIT("compress, chunked"), S_INIT("gzip,chunked")};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (str_eq_nocase(value, known[i]))
            return true;
    return false;
}

/*
 * Exactly "chunked", once. Space that others might not trim is refused as well: whoever reads such
 * a field otherwise than we do disagrees with us about where the message ends.
 */
static bool judge_coding(struct head *out, const struct framing *f, struct err *e)
{
    struct str value = str_trim(f->coding);
    size_t tab;
    if (out->minor == 0)
        return refuse(e, "Transfer-Encoding in HTTP/1.0");
    if (f->lengths > 0)
        return refuse(e, "both Content-Length and Transfer-Encoding");
    if (f->codings > 1 || str_find_char(f->coding, '\t', &tab)
        || value.p + value.n != f->coding.p + f->coding.n)
        return refuse(e, "invalid Transfer-Encoding");
    if (coding_unsupported(value))
        return err_set(e, 501, "not_implemented", "only chunked transfer coding is implemented");
    out->chunked = str_eq_nocase(value, S("chunked"));
    return out->chunked || refuse(e, "invalid Transfer-Encoding");
}

static bool judge_length(struct head *out, const struct framing *f, struct err *e)
{
    if (f->lengths > 1 || f->length.n == 0 || f->length.n > LENGTH_DIGITS_MAX
        || !all_digits(f->length) || !str_to_i64(f->length, &out->content_length)) {
        out->content_length = -1;
        return refuse(e, "invalid Content-Length");
    }
    return true;
}

static bool judge(struct head *out, const struct framing *f, struct err *e)
{
    out->keep_alive = !f->close && (out->minor > 0 || f->keep_alive);
    out->expect_continue = out->expect_continue && out->minor > 0; /* RFC 9110 §10.1.1 */
    if (out->minor > 0 && f->hosts == 0)
        return refuse(e, "Host is missing");
    if (f->codings > 0)
        return judge_coding(out, f, e);
    return f->lengths == 0 || judge_length(out, f, e);
}

/* Reads on after the first fault: the log and CORS want to see the rest. */
static bool parse_lines(struct str text, struct head *out, struct err *e)
{
    struct framing f = {0};
    struct err later;
    bool good = parse_request_line(next_line(&text), out, e);
    while (text.n > 0)
        good = parse_field(next_line(&text), out, &f, good ? e : &later) && good;
    return good && judge(out, &f, e);
}

/* The fields array stays as it is: 3 KiB that nobody reads beyond field_count. */
static void start_over(struct head *out)
{
    out->method = METHOD_NONE;
    out->method_text = out->target = out->path = out->query = out->host = (struct str){0};
    out->minor = 1;
    out->keep_alive = out->expect_continue = out->chunked = false;
    out->content_length = -1;
    out->field_count = 0;
}

enum head_result head_parse(struct str bytes, size_t *scanned, struct head *out, size_t *used,
                            struct err *e)
{
    size_t end = 0, start = line_start(bytes);
    start_over(out);
    if (bytes.n == 0 || str_eq(bytes, S("\r")))
        return HEAD_MORE;
    if (bytes.n > start && !is(bytes.p[start], TOKEN)) { /* TLS to a plain port, mostly */
        refuse(e, "invalid method");
        return HEAD_BAD;
    }
    if (!find_end(bytes, scanned, &end, e)) {
        struct err partial;
        if (*scanned > start)
            (void)!parse_lines(str_of(bytes.p + start, *scanned - start), out, &partial);
        return HEAD_BAD;
    }
    if (end == 0)
        return HEAD_MORE;
    *used = end;
    return parse_lines(str_of(bytes.p + start, end - 2 - start), out, e) ? HEAD_DONE : HEAD_BAD;
}

/* ---- looking at one ---- */

static void move(struct str *s, const char *from, size_t n, const char *to)
{
    if (s->p >= from && s->p <= from + n)
        s->p = to + (s->p - from);
}

void head_rebase(struct head *h, struct str from, const char *to)
{
    move(&h->method_text, from.p, from.n, to);
    move(&h->target, from.p, from.n, to);
    move(&h->path, from.p, from.n, to);
    move(&h->query, from.p, from.n, to);
    move(&h->host, from.p, from.n, to);
    for (unsigned i = 0; i < h->field_count; i++) {
        move(&h->fields[i].name, from.p, from.n, to);
        move(&h->fields[i].value, from.p, from.n, to);
    }
}

struct str head_get(const struct head *h, struct str name)
{
    for (unsigned i = 0; i < h->field_count; i++)
        if (str_eq_nocase(h->fields[i].name, name))
            return h->fields[i].value;
    return (struct str){0};
}

static bool list_has(struct str list, struct str token)
{
    struct str item, rest = list;
    for (bool more = true; more;) {
        more = str_cut(rest, ',', &item, &rest);
        if (str_eq_nocase(str_trim(item), token))
            return true;
    }
    return false;
}

bool head_has_token(const struct head *h, struct str name, struct str token)
{
    for (unsigned i = 0; i < h->field_count; i++)
        if (str_eq_nocase(h->fields[i].name, name) && list_has(h->fields[i].value, token))
            return true;
    return false;
}
