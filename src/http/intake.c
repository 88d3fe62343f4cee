/* SPDX-License-Identifier: Apache-2.0 */
#include "http/intake.h"

#include "base/clock.h"
#include "base/secret.h"
#include "ops/metrics.h"

void intake_begin(struct conn_work *w)
{
    int64_t length = w->head.content_length;
    body_decoder_init(&w->decoder, w->head.chunked, length > 0 ? length : 0);
    buf_init(&w->body, 4 * CONN_INPUT_MAX);
    w->body_pos = 0;
    w->body_waits = w->body_broken = w->answering = false;
    w->continue_due = w->head.expect_continue && !w->decoder.done;
    w->rate_waited_us = 0;
    w->rate_bytes = 0;
}

/*
 * The decoder works on memory of its own, swapped with the connection's: what it handed out stays
 * where it is while the socket goes on reading.
 */
static void swap_in(struct conn *c, struct conn_work *w)
{
    struct buf had = w->body;
    w->body = c->in;
    w->body_pos = c->pos;
    had.n = 0;
    c->in = had;
    c->pos = 0;
    conn_resume(c);
}

void intake_end(struct conn *c)
{
    struct conn_work *w = c->work;
    struct str left = {w->body.p + w->body_pos, w->body.n - w->body_pos};
    if (w->body.n == 0) {
        buf_free(&w->body);
        return;
    }
    if (left.n > 0) { /* a pipelined request: goes before what came later */
        struct str later = conn_pending(c);
        buf_add(&w->body, later.p, later.n);
        size_t pos = w->body_pos;
        struct buf in = c->in;
        c->in = w->body;
        c->pos = pos;
        w->body = in;
        secret_wipe_bytes(c->in.p, pos);
    }
    secret_wipe_bytes(w->body.p, w->body.n); /* bodies carry passwords */
    buf_free(&w->body);
}

/* ---- waiting ---- */

/* The client has had a whole window of our waiting: did it send enough in it? */
static bool rate_kept(struct conn *c, struct conn_work *w, struct err *e)
{
    if (w->rate_waited_us < CONN_RATE_WINDOW_US)
        return true;
    uint64_t least = (uint64_t)c->home->config->body_min_rate_bps * (CONN_RATE_WINDOW_US / CLOCK_S);
    bool kept = w->rate_bytes >= least && w->rate_bytes > 0;
    w->rate_waited_us = 0;
    w->rate_bytes = 0;
    if (!kept)
        metrics_add(METRIC_http_timeouts, metrics_label(METRIC_http_timeouts, S("body")), 1);
    return kept || err_set(e, 408, "request_timeout", "the request body came too slowly");
}

static bool send_continue(struct conn *c, struct conn_work *w, struct err *e)
{
    static const struct str line = S_INIT("HTTP/1.1 100 Continue\r\n\r\n");
    w->continue_due = false;
    return conn_write(c, &line, 1, e);
}

/* Parks until more came in. The rate rules while the body moves, so the time spent here is added
 * to the request's deadline. */
static bool wait_input(struct conn *c, struct conn_work *w, struct err *e)
{
    size_t had = c->in.n;
    int64_t deadline = fiber_deadline(), begin = clock_mono_us();
    int64_t until = begin + CONN_RATE_WINDOW_US - w->rate_waited_us;
    enum fiber_result r = FIBER_WOKEN;
    fiber_set_deadline(FIBER_NEVER);
    w->body_waits = true;
    while (r == FIBER_WOKEN && c->in.n == had && !c->eof && !c->broken)
        r = fiber_park(until);
    w->body_waits = false;
    int64_t waited = clock_mono_us() - begin;
    fiber_set_deadline(deadline == FIBER_NEVER ? deadline : deadline + waited);
    w->rate_waited_us += waited;
    if (r == FIBER_GONE || c->broken)
        return fiber_fail(FIBER_GONE, e);
    if (r == FIBER_LATE && w->rate_waited_us < CONN_RATE_WINDOW_US)
        w->rate_waited_us = CONN_RATE_WINDOW_US; /* clocks of the loop and ours differ by a hair */
    return true;
}

static bool more_input(struct conn *c, struct conn_work *w, struct err *e)
{
    if (conn_pending(c).n > 0) {
        swap_in(c, w);
        return true;
    }
    if (c->eof)
        return err_set(e, 400, "bad_request", "the request body is incomplete");
    if (w->continue_due && !send_continue(c, w, e))
        return false;
    return wait_input(c, w, e) && rate_kept(c, w, e);
}

/* ---- reading ---- */

static bool next_piece(struct conn *c, struct conn_work *w, struct str *piece, struct err *e)
{
    for (;;) {
        struct str in = {w->body.p + w->body_pos, w->body.n - w->body_pos};
        if (!body_decode(&w->decoder, &in, piece, e))
            return false;
        w->body_pos = w->body.n - in.n;
        w->rate_bytes += piece->n;
        if (piece->n > 0 || w->decoder.done)
            return true;
        if (!more_input(c, w, e))
            return false;
    }
}

static bool too_large(struct err *e)
{
    return err_set(e, 413, "request_entity_too_large", "the request body is too large");
}

bool intake_read(struct conn *c, size_t max_bytes, struct str *piece, struct err *e)
{
    struct conn_work *w = c->work;
    *piece = S("");
    if (w->body_broken)
        return err_set(e, 400, "bad_request", "the request body could not be read");
    if (!w->head.chunked && w->head.content_length > 0
        && (uint64_t)w->head.content_length > max_bytes)
        return too_large(e);
    if (w->decoder.done)
        return true;
    if (!next_piece(c, w, piece, e)) {
        w->body_broken = true;
        return false;
    }
    w->req.body_bytes += piece->n;
    metrics_add(METRIC_http_request_bytes, 0, piece->n);
    if (w->req.body_bytes > max_bytes)
        return too_large(e);
    return true;
}

/* Decodes and forgets what is here already, without waiting. */
static bool drop_pending(struct conn *c, struct conn_work *w)
{
    struct str piece;
    struct err e;
    for (;;) {
        struct str in = {w->body.p + w->body_pos, w->body.n - w->body_pos};
        if (!body_decode(&w->decoder, &in, &piece, &e))
            return false;
        w->body_pos = w->body.n - in.n;
        if (w->decoder.done)
            return true;
        if (piece.n > 0)
            continue;
        if (conn_pending(c).n == 0)
            return true;
        swap_in(c, w);
    }
}

bool intake_droppable(struct conn *c)
{
    struct conn_work *w = c->work;
    if (w->decoder.done)
        return true;
    if (w->body_broken || !drop_pending(c, w))
        return false;
    if (w->decoder.done)
        return true;
    if (w->continue_due || c->eof) /* whether the body still comes is the client's free choice */
        return false;
    return w->decoder.chunked || w->decoder.left <= CONN_DROP_MAX;
}

bool intake_drop(struct conn *c)
{
    struct conn_work *w = c->work;
    struct str piece;
    struct err e;
    size_t dropped = 0;
    int64_t until = clock_mono_us() + CONN_RATE_WINDOW_US;
    fiber_set_deadline(FIBER_NEVER);
    while (!w->decoder.done) {
        if (!next_piece(c, w, &piece, &e))
            return false;
        dropped += piece.n;
        if (dropped > CONN_DROP_MAX || clock_mono_us() > until)
            return false;
    }
    return true;
}
