/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/trace.h"

#include <stdio.h>

#include "base/hex.h"
#include "base/rand.h"
#include "base/uuid.h"

/* version "-" trace-id "-" parent-id "-" flags (W3C Trace Context §3.2.2) */
enum {
    TRACE_AT = 3,
    TRACE_LENGTH = 32,
    PARENT_AT = 36,
    PARENT_LENGTH = 16,
    FLAGS_AT = 53,
    HEADER_LENGTH = 55,
    REQUEST_ID_MAX = 128,
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; /* upper case is malformed there */
}

static bool hex_only(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (hex_digit(p[i]) < 0)
            return false;
    }
    return true;
}

/* An id of zeros only is invalid. */
static bool id_valid(const char *p, size_t n)
{
    bool nonzero = false;
    for (size_t i = 0; i < n; i++)
        nonzero = nonzero || p[i] != '0';
    return nonzero && hex_only(p, n);
}

static bool header_valid(struct str h)
{
    if (h.n < HEADER_LENGTH || !hex_only(h.p, 2) || (h.p[0] == 'f' && h.p[1] == 'f'))
        return false;
    bool version_00 = h.p[0] == '0' && h.p[1] == '0';
    if (h.n > HEADER_LENGTH && (version_00 || h.p[HEADER_LENGTH] != '-'))
        return false; /* a higher version may append fields, not characters */
    return h.p[2] == '-' && h.p[PARENT_AT - 1] == '-' && h.p[FLAGS_AT - 1] == '-'
           && id_valid(h.p + TRACE_AT, TRACE_LENGTH) && id_valid(h.p + PARENT_AT, PARENT_LENGTH)
           && hex_only(h.p + FLAGS_AT, 2);
}

/* n random bytes as hex, never all zero. */
static void id_make(char *out, size_t n)
{
    unsigned char bytes[TRACE_LENGTH / 2], any = 0;
    while (!any) {
        rand_bytes(bytes, n);
        for (size_t i = 0; i < n; i++)
            any |= bytes[i];
    }
    hex_encode(bytes, n, out);
}

void trace_begin(struct trace *t, struct str traceparent)
{
    *t = (struct trace){.sampled = true};
    id_make(t->span_id, PARENT_LENGTH / 2);
    if (!header_valid(traceparent)) {
        id_make(t->trace_id, TRACE_LENGTH / 2);
        return;
    }
    memcpy(t->trace_id, traceparent.p + TRACE_AT, TRACE_LENGTH);
    memcpy(t->parent_id, traceparent.p + PARENT_AT, PARENT_LENGTH);
    t->sampled = hex_digit(traceparent.p[FLAGS_AT + 1]) & 1;
}

void trace_header(const struct trace *t, char out[56])
{
    snprintf(out, HEADER_LENGTH + 1, "00-%s-%s-%s", t->trace_id, t->span_id,
             t->sampled ? "01" : "00");
}

static bool request_id_valid(struct str s)
{
    if (s.n == 0 || s.n > REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && (c == '\0' || !strchr("._:/+=-", c)))
            return false;
    }
    return true;
}

void trace_request_id(struct str theirs, char out[129])
{
    if (!request_id_valid(theirs)) {
        struct uuid ours = uuid_v7();
        memcpy(out, ours.text, sizeof(ours.text));
        return;
    }
    memcpy(out, theirs.p, theirs.n);
    out[theirs.n] = '\0';
}
