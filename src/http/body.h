/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Framing of a request's body (RFC 9112 §6, §7.1): a decoder over bytes, no I/O. Trailers are read
 * and dropped (at most 8 KiB).
 */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include "base/err.h"
#include "base/str.h"

struct body_decoder {
    int state;
    int64_t left;      /* of the current chunk, or of a body by length */
    size_t line_bytes; /* of a chunk line or of the trailers so far */
    bool chunked, done;
};

/* length -1 with chunked; 0: done at once. */
void body_decoder_init(struct body_decoder *d, bool chunked, int64_t length);
/*
 * Takes from *in (advancing it) and gives the next piece of payload, pointing into *in's memory;
 * piece.n is 0 when more input is needed or d->done. False with 400 "bad_request" on malformed
 * chunks: hex digits only (no 0x, _, +, spaces), no overflow, extensions bounded, CRLF exactly.
 */
MUST_CHECK bool body_decode(struct body_decoder *d, struct str *in, struct str *piece,
                            struct err *e);

#endif
