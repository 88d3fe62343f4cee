/* SPDX-License-Identifier: Apache-2.0 */
#include "http/resp.h"

#include "runtime/file.h"

/* Ours are a few hundred bytes; no client reads more than this. */
enum { HEADERS_MAX = 16 * 1024 };

void resp_init(struct resp *r, struct arena *a)
{
    *r = (struct resp){.status = 500, .arena = a, .file_fd = -1};
    buf_init_arena(&r->headers, a, HEADERS_MAX);
    buf_init_arena(&r->body, a, RESP_BODY_MAX);
}

void resp_clear(struct resp *r)
{
    if (r->body_release)
        r->body_release(r->body_owner);
    r->body_release = NULL;
    r->body_owner = NULL;
    r->body_shared = (struct str){0};
    if (r->file_fd >= 0)
        file_close(r->file_fd);
    r->file_fd = -1;
    r->file_offset = r->file_length = 0;
    buf_reset(&r->headers);
    buf_reset(&r->body);
    r->status = 500;
    r->close = false;
}

/* A value with a line end in it would let its author write our next header. */
static bool value_safe(struct str v)
{
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] == '\r' || v.p[i] == '\n' || v.p[i] == '\0')
            return false;
    return true;
}

void resp_header(struct resp *r, const char *name, struct str value)
{
    if (!value_safe(value)) {
        r->headers.failed = true;
        return;
    }
    buf_add(&r->headers, name, strlen(name));
    BUF_LIT(&r->headers, ": ");
    buf_str(&r->headers, value);
    BUF_LIT(&r->headers, "\r\n");
}

void resp_header_i64(struct resp *r, const char *name, int64_t value)
{
    buf_add(&r->headers, name, strlen(name));
    BUF_LIT(&r->headers, ": ");
    buf_i64(&r->headers, value);
    BUF_LIT(&r->headers, "\r\n");
}

struct buf *resp_json(struct resp *r, int status)
{
    r->status = status;
    BUF_LIT(&r->headers, "Content-Type: application/json\r\n");
    return &r->body;
}

bool resp_done(struct resp *r, struct err *e)
{
    if (!r->body.failed && !r->headers.failed)
        return true;
    return err_set(e, 500, "response_too_large", "the response could not be built");
}

void resp_text(struct resp *r, int status, struct str content_type, struct str body)
{
    r->status = status;
    resp_header(r, "Content-Type", content_type);
    buf_str(&r->body, body);
}

void resp_empty(struct resp *r, int status)
{
    r->status = status;
}

/* RFC 9110 §15, RFC 6585. */
// clang-format off
static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {200, "OK"}, {201, "Created"}, {202, "Accepted"}, {203, "Non-Authoritative Information"},
    {204, "No Content"}, {205, "Reset Content"}, {206, "Partial Content"},
    {300, "Multiple Choices"}, {301, "Moved Permanently"}, {302, "Found"}, {303, "See Other"},
    {304, "Not Modified"}, {307, "Temporary Redirect"}, {308, "Permanent Redirect"},
    {400, "Bad Request"}, {401, "Unauthorized"}, {402, "Payment Required"}, {403, "Forbidden"},
    {404, "Not Found"}, {405, "Method Not Allowed"}, {406, "Not Acceptable"},
    {408, "Request Timeout"}, {409, "Conflict"}, {410, "Gone"}, {411, "Length Required"},
    {412, "Precondition Failed"}, {413, "Content Too Large"}, {414, "URI Too Long"},
    {415, "Unsupported Media Type"}, {416, "Range Not Satisfiable"}, {417, "Expectation Failed"},
    {422, "Unprocessable Content"}, {423, "Locked"}, {424, "Failed Dependency"}, {425, "Too Early"},
    {426, "Upgrade Required"}, {428, "Precondition Required"}, {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"}, {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"}, {501, "Not Implemented"}, {502, "Bad Gateway"},
    {503, "Service Unavailable"}, {504, "Gateway Timeout"}, {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};
// clang-format on

const char *resp_reason(int status)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "";
}
