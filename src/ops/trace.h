/* SPDX-License-Identifier: Apache-2.0 */
/* W3C Trace Context (traceparent, version 00) and our request ids. */
#ifndef OPS_TRACE_H
#define OPS_TRACE_H

#include "base/str.h"

struct trace {
    char trace_id[33];  /* 32 lower-case hex */
    char span_id[17];   /* ours */
    char parent_id[17]; /* theirs or "" */
    bool sampled;
};

/* Takes a well-formed traceparent over with a new span id; otherwise starts a trace. */
void trace_begin(struct trace *t, struct str traceparent);
/* "00-<trace>-<span>-01", 55 characters and a NUL. */
void trace_header(const struct trace *t, char out[56]);
/* Theirs when 1..128 characters of [A-Za-z0-9._:/+=-] (out is then a copy), else a new UUID v7. */
void trace_request_id(struct str theirs, char out[129]);

#endif
