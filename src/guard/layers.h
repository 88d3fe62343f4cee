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
/* ok as it is; counts a refusal, and the layer's time. */
bool layers_passed(enum layer which, bool ok, struct layers_watch *w);
/* [{"layer":1,"name":…,"present":true,"code":…,"refused":0,…}, …] */
void layers_put_json(struct buf *b);

/* Layer 1: path parameters whose name ends in "_id". 404 "validation_failed", as GoTrue says it. */
MUST_CHECK bool layers_ids(const struct req *req, struct err *e);
/* Layer 8: the refusal by `which` becomes an event. */
void layers_report(const struct req *req, enum layer which, const struct err *e);

#endif
