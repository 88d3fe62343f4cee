/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer: status, headers and a body in memory. Nothing is sent before the handler returned, so
 * an error after half an answer was built simply replaces it (resp_clear). Content-Length, Date,
 * Connection and the framing are the server's.
 */
#ifndef HTTP_RESP_H
#define HTTP_RESP_H

#include "base/buf.h"
#include "base/err.h"

struct resp {
    int status;
    struct arena *arena;
    struct buf headers;           /* "Name: value\r\n"…, checked for CR, LF and NUL when added */
    struct buf body;              /* arena; bounded by RESP_BODY_MAX */
    struct str body_shared;       /* instead of body: memory that outlives the response */
    void (*body_release)(void *); /* called with body_owner once sent; may be NULL */
    void *body_owner;
    int file_fd; /* ≥ 0: send file_length bytes from file_offset; closed afterwards */
    int64_t file_offset, file_length;
    bool close; /* Connection: close after this */
};

enum { RESP_BODY_MAX = 64 * 1024 * 1024 };

void resp_init(struct resp *r, struct arena *a);
/* Forgets body, headers and status; keeps the arena. Releases shared bodies and files. */
void resp_clear(struct resp *r);
void resp_header(struct resp *r, const char *name, struct str value);
void resp_header_i64(struct resp *r, const char *name, int64_t value);
/* Sets status and Content-Type: application/json and gives the body to write into. */
struct buf *resp_json(struct resp *r, int status);
/* Body finished? False with 500 "response_too_large" when a buf failed. */
MUST_CHECK bool resp_done(struct resp *r, struct err *e);
void resp_text(struct resp *r, int status, struct str content_type, struct str body);
void resp_empty(struct resp *r, int status);
/* Standard reason phrase, "" when unknown. */
const char *resp_reason(int status);

#endif
