/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The authorization layers as one table: what each is for, how often it refused and what it costs.
 * The pipeline runs the checks, in the order of their cost, and tells each one's outcome here. Time
 * is measured at one request in sixteen, so that measuring costs less than the layers do.
 */
#ifndef GUARD_LAYERS_H
#define GUARD_LAYERS_H

#include "base/buf.h"
#include "base/err.h"
#include "http/req.h"

enum layer {
#define X(id, number, name, present, code, what) LAYER_##id,
#include "guard/layers.def"
#undef X
    LAYER_COUNT
};

/* One request's; on the pipeline's stack. */
struct layers_watch {
    int64_t from_us; /* 0: this request is not measured */
};

/* Once, before the first request. */
void layers_prepare(void);
struct layers_watch layers_begin(void);
/* What came before the next layer is not its time. */
void layers_skip(struct layers_watch *w);
/* The layer's time. */
void layers_done(enum layer which, struct layers_watch *w);
/* Counts the refusal and notes it in req->layer, for the event that layer 8 makes of it (app/incident.c). */
void layers_refused(enum layer which, struct req *req);
/* [{"layer":1,"name":…,"present":true,"code":…,"refused":0,…}, …] */
void layers_put_json(struct buf *b);

/* Layer 1: path parameters whose name ends in "_id". 404 "validation_failed", as GoTrue says it. */
MUST_CHECK bool layers_ids(const struct req *req, struct err *e);

#endif
