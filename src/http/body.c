/* SPDX-License-Identifier: Apache-2.0 */
#include "http/body.h"

/* A chunk line: 16 digits are all an int64 needs, and extensions mean nothing to anybody, while
 * long ones on one-byte chunks would make us read hundreds of times the payload. */
enum { SIZE_DIGITS_MAX = 16, CHUNK_LINE_MAX = 256, TRAILERS_MAX = 8192 };

enum body_state {
    BODY_SIZE,
    BODY_EXTENSION,
    BODY_SIZE_LF,
    BODY_DATA,
    BODY_DATA_CR,
    BODY_DATA_LF,
    BODY_TRAILER_START,
    BODY_TRAILER_NAME,
    BODY_TRAILER_VALUE,
    BODY_TRAILER_LF,
    BODY_END_LF,
};

static bool malformed(struct err *e, const char *why)
{
    return err_set(e, 400, "bad_request", "malformed chunked body: %s", why);
}

static int hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    unsigned char lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static bool is_text(unsigned char c)
{
    return c == '\t' || (c >= ' ' && c != 0x7f);
}

/* Letters, digits and the few marks of RFC 9110 §5.6.2. */
static bool is_token(unsigned char c)
{
    unsigned char lower = c | 0x20;
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9')
           || (c != 0 && strchr("!#$%&'*+-.^_`|~", c));
}

/* One byte of a state each; the state after it is theirs to set. */

static bool on_size(struct body_decoder *d, unsigned char c, struct err *e)
{
    int digit = hex_value(c);
    if (digit >= 0) {
        if (++d->line_bytes > SIZE_DIGITS_MAX || d->left > (INT64_MAX >> 4))
            return malformed(e, "chunk size too large");
        d->left = d->left << 4 | digit;
        return true;
    }
    if (d->line_bytes == 0 || (c != '\r' && c != ';'))
        return malformed(e, "invalid chunk size");
    d->state = c == '\r' ? BODY_SIZE_LF : BODY_EXTENSION;
    return true;
}

static bool on_extension(struct body_decoder *d, unsigned char c, struct err *e)
{
    if (c == '\r') {
        d->state = BODY_SIZE_LF;
        return true;
    }
    if (!is_text(c) || ++d->line_bytes > CHUNK_LINE_MAX)
        return malformed(e, "invalid chunk extension");
    return true;
}

static bool expect_byte(unsigned char c, unsigned char want, struct err *e)
{
    return c == want || malformed(e, "line end expected");
}

static bool on_size_lf(struct body_decoder *d, unsigned char c, struct err *e)
{
    d->state = d->left > 0 ? BODY_DATA : BODY_TRAILER_START;
    d->line_bytes = 0;
    return expect_byte(c, '\n', e);
}

static bool on_data_cr(struct body_decoder *d, unsigned char c, struct err *e)
{
    d->state = BODY_DATA_LF;
    return expect_byte(c, '\r', e);
}

static bool on_data_lf(struct body_decoder *d, unsigned char c, struct err *e)
{
    d->state = BODY_SIZE;
    return expect_byte(c, '\n', e);
}

static bool count_trailer(struct body_decoder *d, struct err *e)
{
    return ++d->line_bytes <= TRAILERS_MAX || malformed(e, "trailers too large");
}

static bool on_trailer_name(struct body_decoder *d, unsigned char c, struct err *e)
{
    if (d->state == BODY_TRAILER_START && c == '\r') {
        d->state = BODY_END_LF;
        return true;
    }
    if (d->state == BODY_TRAILER_NAME && c == ':') {
        d->state = BODY_TRAILER_VALUE;
        return count_trailer(d, e);
    }
    d->state = BODY_TRAILER_NAME;
    return is_token(c) ? count_trailer(d, e) : malformed(e, "invalid trailer");
}

static bool on_trailer_value(struct body_decoder *d, unsigned char c, struct err *e)
{
    if (c == '\r') {
        d->state = BODY_TRAILER_LF;
        return true;
    }
    return is_text(c) ? count_trailer(d, e) : malformed(e, "invalid trailer");
}

static bool on_trailer_lf(struct body_decoder *d, unsigned char c, struct err *e)
{
    d->state = BODY_TRAILER_START;
    return expect_byte(c, '\n', e);
}

static bool on_end_lf(struct body_decoder *d, unsigned char c, struct err *e)
{
    if (!expect_byte(c, '\n', e))
        return false;
    d->done = true;
    return true;
}

static bool (*const steps[])(struct body_decoder *, unsigned char, struct err *) = {
    [BODY_SIZE] = on_size,
    [BODY_EXTENSION] = on_extension,
    [BODY_SIZE_LF] = on_size_lf,
    [BODY_DATA_CR] = on_data_cr,
    [BODY_DATA_LF] = on_data_lf,
    [BODY_TRAILER_START] = on_trailer_name,
    [BODY_TRAILER_NAME] = on_trailer_name,
    [BODY_TRAILER_VALUE] = on_trailer_value,
    [BODY_TRAILER_LF] = on_trailer_lf,
    [BODY_END_LF] = on_end_lf,
};

void body_decoder_init(struct body_decoder *d, bool chunked, int64_t length)
{
    *d = (struct body_decoder){.chunked = chunked};
    if (chunked) {
        d->state = BODY_SIZE;
        return;
    }
    d->state = BODY_DATA;
    d->left = length > 0 ? length : 0;
    d->done = d->left == 0;
}

static void take_data(struct body_decoder *d, struct str *in, struct str *piece)
{
    size_t n = (int64_t)in->n < d->left ? in->n : (size_t)d->left;
    *piece = str_of(in->p, n);
    *in = str_of(in->p + n, in->n - n);
    d->left -= (int64_t)n;
    if (d->left > 0)
        return;
    if (d->chunked)
        d->state = BODY_DATA_CR;
    else
        d->done = true;
}

bool body_decode(struct body_decoder *d, struct str *in, struct str *piece, struct err *e)
{
    *piece = S("");
    while (!d->done && in->n > 0) {
        if (d->state == BODY_DATA) {
            take_data(d, in, piece);
            return true;
        }
        unsigned char c = (unsigned char)in->p[0];
        *in = str_of(in->p + 1, in->n - 1);
        if (!steps[d->state](d, c, e))
            return false;
    }
    return true;
}
