/* SPDX-License-Identifier: Apache-2.0 */
#include "http/req.h"

#include "base/url.h"
#include "http/intake.h"

struct str req_header(const struct req *req, struct str name)
{
    return head_get(req->head, name);
}

struct str req_query(const struct req *req, const char *name)
{
    if (!req->query.p)
        return (struct str){0};
    return url_query_get(req->arena, req->query, name);
}

bool req_body_read(struct req *req, struct str *piece, struct err *e)
{
    size_t max = req->route ? req->route->body_max : CONN_DROP_MAX;
    return intake_read(req->conn, max, piece, e);
}

bool req_body_all(struct req *req, size_t max, struct err *e)
{
    struct buf all;
    struct str piece;
    int64_t length = req->head->content_length;
    if (req->body.p)
        return true;
    buf_init_arena(&all, req->arena, max);
    if (length > 0 && (uint64_t)length <= max)
        buf_reserve(&all, (size_t)length);
    do {
        if (!intake_read(req->conn, max, &piece, e))
            return false;
        buf_str(&all, piece);
    } while (piece.n > 0 && !all.failed);
    if (all.failed)
        return err_set(e, 413, "request_entity_too_large", "the request body is too large");
    req->body = buf_view(&all);
    return true;
}
