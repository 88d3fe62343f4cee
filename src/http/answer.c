/* SPDX-License-Identifier: Apache-2.0 */
#include "http/answer.h"

#include "base/clock.h"
#include "ops/metrics.h"
#include "runtime/file.h"

enum { FILE_PIECE_BYTES = 64 * 1024, FIRST_LINES_MAX = 256 };

/* HEAD is told the length of what GET would send; 204 and 304 have no body at all. */
static bool status_bodyless(int status)
{
    return status == 204 || status == 304 || status < 200;
}

static int64_t body_length(const struct resp *r)
{
    if (r->file_fd >= 0)
        return r->file_length;
    return (int64_t)(r->body_shared.p ? r->body_shared.n : r->body.n);
}

/* Formatted once a second: it is a tenth of what a small answer costs. */
static struct str date_now(struct conn_home *h, int64_t now_us)
{
    int64_t now_s = now_us / CLOCK_S;
    if (now_s != h->date_s) {
        clock_http_date(now_us, h->date);
        h->date_s = now_s;
    }
    return str_of(h->date, 29);
}

/* The server's own lines, in memory that cannot fail. */
static struct str first_lines(struct conn *c, const struct resp *r, bool keep,
                              char mem[FIRST_LINES_MAX])
{
    struct buf b = {.p = mem, .cap = FIRST_LINES_MAX, .max_bytes = FIRST_LINES_MAX};
    BUF_LIT(&b, "HTTP/1.1 ");
    buf_i64(&b, r->status);
    buf_char(&b, ' ');
    buf_str(&b, str_from(resp_reason(r->status)));
    BUF_LIT(&b, "\r\nDate: ");
    buf_str(&b, date_now(c->home, c->work->req.now_us));
    if (keep)
        BUF_LIT(&b, "\r\nConnection: keep-alive\r\n");
    else
        BUF_LIT(&b, "\r\nConnection: close\r\n");
    if (!status_bodyless(r->status)) {
        BUF_LIT(&b, "Content-Length: ");
        buf_i64(&b, body_length(r));
        BUF_LIT(&b, "\r\n");
    }
    return buf_view(&b);
}

/* Under TLS the bytes have to pass through us: read by the file pool, piece by piece. */
static bool send_sealed_file(struct conn *c, const struct resp *r, struct err *e)
{
    struct arena piece_arena;
    struct str piece;
    bool ok = true;
    arena_init(&piece_arena, FILE_PIECE_BYTES);
    for (int64_t done = 0; ok && done < r->file_length; done += (int64_t)piece.n) {
        int64_t left = r->file_length - done;
        size_t want = left < FILE_PIECE_BYTES ? (size_t)left : FILE_PIECE_BYTES;
        arena_reset(&piece_arena);
        ok = file_read_at(r->file_fd, want, r->file_offset + done, &piece_arena, &piece, e)
             && (piece.n == want || err_set(e, 500, "file_short", "the file ended early"))
             && conn_write(c, &piece, 1, e);
    }
    arena_close(&piece_arena);
    c->broken = c->broken || !ok; /* the promised length cannot be kept */
    return ok;
}

static bool send_file(struct conn *c, const struct resp *r, struct err *e)
{
    if (c->tls)
        return send_sealed_file(c, r, e);
    if (sock_sendfile(c->sock, r->file_fd, r->file_offset, r->file_length,
                      c->home->config->body_min_rate_bps, e))
        return true;
    c->broken = true;
    return false;
}

/* A resp that could not be built (headers with a line end, memory): plain 500 in its place. */
static void replace_failed(struct resp *r)
{
    if (!r->headers.failed && !r->body.failed)
        return;
    resp_clear(r);
    r->status = 500;
    r->close = true;
}

bool answer_send(struct conn *c, bool keep, uint64_t *sent, struct err *e)
{
    struct resp *r = &c->work->resp;
    char mem[FIRST_LINES_MAX];
    *sent = 0;
    c->work->answering = true;
    replace_failed(r);
    bool bodyless = c->work->head.method == METHOD_HEAD || status_bodyless(r->status);
    struct str body = {0};
    if (!bodyless && r->file_fd < 0)
        body = r->body_shared.p ? r->body_shared : buf_view(&r->body);
    struct str pieces[] = {first_lines(c, r, keep && !r->close, mem), buf_view(&r->headers),
                           S("\r\n"), body};
    if (!conn_write(c, pieces, body.n > 0 ? 4 : 3, e))
        return false;
    uint64_t heads = pieces[0].n + pieces[1].n + pieces[2].n;
    if (!bodyless && r->file_fd >= 0 && !send_file(c, r, e))
        return false;
    *sent = bodyless ? 0 : (uint64_t)body_length(r);
    metrics_add(METRIC_http_response_bytes, 0, heads + *sent);
    return true;
}
