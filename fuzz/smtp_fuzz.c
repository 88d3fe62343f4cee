/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "http/smtp.h"

/* Fields separated by NUL: whatever users wrote, no line of the head is theirs but X's continuation. */
static void check_head(struct str mail)
{
    static const char names[] = "DFTSMCX "; /* Date, From, To, Subject, Message-ID, …, continued */
    struct str line, rest = mail;
    for (bool more = true; more && rest.n > 0;) {
        more = str_cut(rest, '\n', &line, &rest);
        BUG(line.n == 0 || line.p[line.n - 1] != '\r' || memchr(line.p, '\r', line.n - 1));
        if (line.n == 1)
            return;
        BUG(!strchr(names, line.p[0]) || str_starts_nocase(line, S("bcc")));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in[7], rest = {(const char *)data, size};
    struct arena a;
    struct buf out;
    struct err e;
    struct smtp_server server;
    for (int i = 0; i < 7; i++)
        str_cut(rest, '\0', &in[i], &rest);
    struct smtp_message m = {.from = S("a@example.org"),
                             .from_name = in[0],
                             .to = in[1].n ? in[1] : S("b@c"),
                             .subject = in[2],
                             .text = in[3],
                             .html = in[4],
                             .date_us = 1};
    buf_init(&out, 1 << 20);
    arena_init(&a, 1 << 20);
    if (smtp_compose(&m, &out, &e))
        check_head(buf_view(&out));
    if (smtp_server_parse(in[5], &a, &server, &e))
        BUG(server.port < 0 || !server.host.n);
    arena_close(&a);
    buf_free(&out);
    return 0;
}
