/* SPDX-License-Identifier: Apache-2.0 */
/* Mail to a server that takes it, refuses it, hangs, or has no TLS. */
#include "smtp.c"

#include "http/test_upstream.h"

/* ---- the server: what it does is told by the recipient's local part ---- */

static char received[256 * 1024];
static size_t received_n;
static char login[1200];

struct lines {
    int fd;
    char p[8192];
    size_t n;
};

static bool line_next(struct lines *l, char out[1200])
{
    for (;;) {
        size_t end;
        if (str_find(str_of(l->p, l->n), S("\r\n"), &end)) {
            snprintf(out, 1200, "%.*s", (int)end, l->p);
            l->n -= end + 2;
            memmove(l->p, l->p + end + 2, l->n);
            return true;
        }
        ssize_t got = recv(l->fd, l->p + l->n, sizeof(l->p) - l->n, 0);
        if (got <= 0)
            return false;
        l->n += (size_t)got;
    }
}

static void reply(int fd, const char *text)
{
    upstream_say(fd, text, strlen(text));
}

static void take_data(struct lines *l)
{
    char line[1200];
    received_n = 0;
    while (line_next(l, line) && strcmp(line, ".") != 0)
        received_n += (size_t)snprintf(received + received_n, sizeof(received) - received_n,
                                       "%s\r\n", line[0] == '.' ? line + 1 : line);
}

static bool recipient(int fd, const char *line)
{
    if (strstr(line, "<gone@"))
        reply(fd, "550 5.1.1 no such user\r\n");
    else if (strstr(line, "<later@"))
        reply(fd, "451 4.7.1 greylisted\r\n");
    else if (strstr(line, "<drop@"))
        return false;
    else if (strstr(line, "<hang@"))
        upstream_hang(fd);
    else
        reply(fd, "250 ok\r\n");
    return true;
}

static void serve(int fd, int number)
{
    struct lines l = {.fd = fd};
    char line[1200], to[1200] = "";
    (void)number;
    reply(fd, "220 test\r\n");
    while (line_next(&l, line)) {
        if (strncmp(line, "EHLO", 4) == 0)
            reply(fd, "250-test\r\n250 AUTH PLAIN\r\n");
        else if (strcmp(line, "AUTH PLAIN") == 0) {
            reply(fd, "334 \r\n");
            if (!line_next(&l, login))
                return;
            /* \0user\0wrong */
            reply(fd, strcmp(login, "AHVzZXIAd3Jvbmc=") == 0 ? "535 5.7.8 no\r\n" : "235 yes\r\n");
        } else if (strncmp(line, "RCPT", 4) == 0) {
            memcpy(to, line, sizeof(to));
            if (!recipient(fd, line))
                return;
        } else if (strcmp(line, "DATA") == 0) {
            reply(fd, "354 go on\r\n");
            take_data(&l);
            reply(fd, strstr(to, "<spam@") ? "554 5.7.1 spam\r\n" : "250 queued\r\n");
        } else if (strcmp(line, "QUIT") == 0) {
            reply(fd, "221 bye\r\n");
            return;
        } else
            reply(fd, "250 ok\r\n");
    }
}

/* ---- sending ---- */

struct sending {
    struct smtp_server server;
    struct smtp_message message;
    bool ok;
    struct err e;
};

static void send_run(void *arg)
{
    struct sending *s = arg;
    err_clear(&s->e);
    s->ok = smtp_send(&s->server, &s->message, &s->e);
}

static struct sending send_to(const char *to, struct smtp_server over)
{
    struct sending s = {.server = over,
                        .message = {.from = S("app@example.org"),
                                    .to = str_from(to),
                                    .subject = S("Hello"),
                                    .text = S(".dot\r\n..\r\n.\r\nend")}};
    s.server.host = S("127.0.0.1");
    s.server.port = upstream.port;
    if (!over.host.p)
        s.server.tls = SMTP_TLS_OFF;
    in_fiber(0, send_run, &s);
    return s;
}

static void expect(struct sending s, int status, const char *code)
{
    if (s.ok != (status == 0) || s.e.status != status)
        fail_msg("wanted %d, got %d %s (%s)", status, s.e.status, s.e.code, s.e.detail);
    if (code)
        assert_string_equal(s.e.code, code);
}

static void taken(void **state)
{
    (void)state;
    expect(send_to("you@example.net", (struct smtp_server){0}), 0, NULL);
    assert_non_null(strstr(received, "\r\nTo: <you@example.net>\r\n"));
    assert_non_null(strstr(received, "\r\n\r\n.dot\r\n..\r\n.\r\nend\r\n"));
    int before = atomic_load(&upstream.connections);
    expect(send_to("you@example.net", (struct smtp_server){0}), 0, NULL);
    assert_int_equal(atomic_load(&upstream.connections), before); /* kept */
}

static void refused_or_later(void **state)
{
    (void)state;
    expect(send_to("gone@example.net", (struct smtp_server){0}), 502, "smtp_rejected");
    expect(send_to("spam@example.net", (struct smtp_server){0}), 502, "smtp_rejected");
    expect(send_to("later@example.net", (struct smtp_server){0}), 503, "smtp_temporary");
    expect(send_to("drop@example.net", (struct smtp_server){0}), 503, "smtp_temporary");
    breaker_report(breaker_named(BREAKER_smtp), true);
    expect(send_to("hang@example.net", (struct smtp_server){.timeout_us = 200 * CLOCK_MS}), 503,
           "smtp_temporary");
    breaker_report(breaker_named(BREAKER_smtp), true);
    expect(send_to("you@example.net", (struct smtp_server){0}), 0, NULL);
}

static void passwords(void **state)
{
    (void)state;
    expect(
        send_to("you@example.net", (struct smtp_server){.user = S("user"), .password = S("right")}),
        0, NULL);
    assert_string_equal(login, "AHVzZXIAcmlnaHQ=");
    expect(
        send_to("you@example.net", (struct smtp_server){.user = S("user"), .password = S("wrong")}),
        503, "smtp_temporary");
    breaker_report(breaker_named(BREAKER_smtp), true);
}

/* Without the TLS that was asked for nothing is said, above all no password. */
static void no_tls_no_mail(void **state)
{
    (void)state;
    login[0] = '\0';
    struct smtp_server s = {
        .host = S("x"), .tls = SMTP_TLS_STARTTLS, .user = S("user"), .password = S("right")};
    received_n = 0;
    expect(send_to("you@example.net", s), 503, "smtp_temporary");
    assert_string_equal(login, "");
    assert_int_equal(received_n, 0);
    breaker_report(breaker_named(BREAKER_smtp), true);
}

static void breaker_opens(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        expect(send_to("later@example.net", (struct smtp_server){0}), 503, "smtp_temporary");
    int before = atomic_load(&upstream.connections);
    expect(send_to("you@example.net", (struct smtp_server){0}), 503, "smtp_temporary");
    assert_int_equal(atomic_load(&upstream.connections), before);
    breaker_report(breaker_named(BREAKER_smtp), true);
}

/* ---- composing ---- */

static struct buf mail;

static const char *composed(struct smtp_message m)
{
    struct err e;
    buf_reset(&mail);
    if (!m.from.p)
        m.from = S("app@example.org");
    if (!m.to.p)
        m.to = S("you@example.net");
    if (!m.subject.p)
        m.subject = S("Hello");
    if (!m.text.p && !m.html.p)
        m.text = S("text");
    m.date_us = 1767323045 * CLOCK_S;
    if (!smtp_compose(&m, &mail, &e)) {
        assert_int_equal(e.status, 502);
        assert_string_equal(e.code, "smtp_rejected");
        return "";
    }
    buf_char(&mail, '\0');
    return mail.p;
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in\n%s", part, text);
}

static void headers(void **state)
{
    (void)state;
    const char *t =
        composed((struct smtp_message){.from_name = S("My \"App\""),
                                       .message_id = S("1@example.org"),
                                       .headers = S("Auto-Submitted: auto-generated\r\n")});
    has(t, "Date: Fri, 02 Jan 2026 03:04:05 +0000\r\n"
           "From: \"My \\\"App\\\"\" <app@example.org>\r\n"
           "To: <you@example.net>\r\n"
           "Subject: Hello\r\n"
           "Message-ID: <1@example.org>\r\n"
           "MIME-Version: 1.0\r\n"
           "Auto-Submitted: auto-generated\r\n"
           "Content-Type: text/plain; charset=utf-8\r\n"
           "Content-Transfer-Encoding: quoted-printable\r\n\r\ntext\r\n");
    has(composed((struct smtp_message){.html = S("<p>")}), "Content-Type: text/html; charset");
    has(composed((struct smtp_message){0}), "From: <app@example.org>\r\n");
    has(composed((struct smtp_message){0}), "@example.org>\r\nMIME-Version");
}

/* RFC 2047: words of at most 75 characters, cut between characters. */
static void encoded_words(void **state)
{
    (void)state;
    has(composed((struct smtp_message){.subject = S("Grüße")}),
        "Subject: =?UTF-8?B?R3LDvMOfZQ==?=\r\n");
    has(composed((struct smtp_message){.from_name = S("Grüße")}),
        "From: =?UTF-8?B?R3LDvMOfZQ==?= <app@example.org>\r\n");
    has(composed((struct smtp_message){.subject = S("a =?x?= b")}), "Subject: =?UTF-8?B?");
    struct buf s;
    buf_init(&s, 4096);
    for (int i = 0; i < 300; i++)
        buf_str(&s, S("ü"));
    const char *t = composed((struct smtp_message){.subject = buf_view(&s)});
    struct str line, rest = str_from(strstr(t, "Subject: "));
    struct arena a;
    size_t decoded = 0;
    arena_init(&a, 1 << 16);
    for (bool more = true; more;) {
        more = str_cut(rest, '\n', &line, &rest);
        if (str_starts(line, S("Subject: ")))
            line = str_from_at(line, 8);
        else if (line.p[0] != ' ')
            break;
        line = str_of(line.p + 1, line.n - 2);
        assert_true(line.n <= 75);
        struct str text = base64_decode(&a, str_of(line.p + 10, line.n - 12));
        assert_true(text.p && utf8_valid(text));
        decoded += text.n;
    }
    assert_int_equal(decoded, 600);
    arena_close(&a);
    buf_free(&s);
}

static void bodies(void **state)
{
    (void)state;
    has(composed((struct smtp_message){.text = S("a=b\ntrail \r\nü\ttab\n\nend")}),
        "\r\n\r\na=3Db\r\ntrail=20\r\n=C3=BC\ttab\r\n\r\nend\r\n");
    const char *t = composed((struct smtp_message){.text = S("plain"), .html = S("<b>rich</b>")});
    has(t, "Content-Type: multipart/alternative; boundary=\"=_");
    has(t, "\r\n\r\nplain\r\n\r\n--=_");
    has(t, "\r\n\r\n<b>rich</b>\r\n\r\n--=_");
    assert_true(strstr(t, "plain\r\n") < strstr(t, "<b>rich"));
    struct buf long_text;
    buf_init(&long_text, 1 << 16);
    for (int i = 0; i < 3000; i++)
        buf_str(&long_text, i % 7 ? S("x") : S("é"));
    struct str line, rest = str_from(composed((struct smtp_message){.text = buf_view(&long_text)}));
    for (bool more = true; more;) {
        more = str_cut(rest, '\n', &line, &rest);
        assert_true(line.n <= 77); /* 76 and the CR */
    }
    buf_free(&long_text);
}

static void injection(void **state)
{
    (void)state;
    static const struct smtp_message rows[] = {
        {.subject = S_INIT("a\r\nBcc: x@example.org")},
        {.subject = S_INIT("a\nb")},
        {.subject = S_INIT("a\0b")},
        {.subject = S_INIT("\xff")},
        {.from_name = S_INIT("a\r\nb")},
        {.to = S_INIT("you@example.net>\r\nRCPT TO:<x@example.org")},
        {.to = S_INIT("you@example.net,x@example.org")},
        {.to = S_INIT("you@example.net x")},
        {.to = S_INIT("you")},
        {.to = S_INIT("@example.net")},
        {.to = S_INIT("")},
        {.from = S_INIT("app@example.org> SIZE=1")},
        {.message_id = S_INIT("1@a>\r\nX: 1")},
        {.headers = S_INIT("X: 1\r\nBcc: x@example.org\r\n")},
        {.headers = S_INIT("content-type: text/x\r\n")},
        {.headers = S_INIT("X: 1\r\n\r\nbody\r\n")},
        {.headers = S_INIT("X: 1")},
        {.headers = S_INIT("X: \xff\r\n")},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (composed(rows[i])[0])
            fail_msg("row %zu was composed:\n%s", i, mail.p);
    }
}

/* ---- where mail goes ---- */

static void urls(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host;
        int port;
        enum smtp_tls tls;
        const char *user, *password;
    } rows[] = {
        {"smtp://mail.example.org", "mail.example.org", 587, SMTP_TLS_STARTTLS, "", ""},
        {"smtp://u%40x:p%3A%2f@mail.example.org:25/", "mail.example.org", 25, SMTP_TLS_STARTTLS,
         "u@x", "p:/"},
        {"smtps://u@mail.example.org", "mail.example.org", 465, SMTP_TLS_IMPLICIT, "u", ""},
        {"smtp://mail.example.org:465", "mail.example.org", 465, SMTP_TLS_STARTTLS, "", ""},
        {"smtp://mail.example.org?tls=off", "mail.example.org", 587, SMTP_TLS_OFF, "", ""},
        {"smtp://127.0.0.1:2525", "127.0.0.1", 2525, SMTP_TLS_OFF, "", ""},
        {"smtp://[::1]:2525?tls=starttls", "::1", 2525, SMTP_TLS_STARTTLS, "", ""},
    };
    static const char *const bad[] = {"",
                                      "mail.example.org",
                                      "http://mail.example.org",
                                      "smtp://",
                                      "smtp://h/path",
                                      "smtp://h?tls=maybe",
                                      "smtps://h?tls=off",
                                      "smtp://u%0a:p@h",
                                      "smtp://u%zz@h",
                                      "smtp://h#x"};
    struct arena a;
    struct err e;
    struct smtp_server s;
    arena_init(&a, 1 << 16);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (!smtp_server_parse(str_from(rows[i].url), &a, &s, &e))
            fail_msg("%s: %s", rows[i].url, e.message);
        assert_true(str_is(s.host, rows[i].host));
        assert_int_equal(s.port, rows[i].port);
        assert_int_equal(s.tls, rows[i].tls);
        assert_true(str_is(s.user, rows[i].user) && str_is(s.password, rows[i].password));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(smtp_server_parse(str_from(bad[i]), &a, &s, &e));
        assert_string_equal(e.code, "smtp_url_invalid");
    }
    assert_int_equal(smtp_tls_for(S("mail.example.org"), 465), SMTP_TLS_IMPLICIT);
    assert_int_equal(smtp_tls_for(S("mail.example.org"), 587), SMTP_TLS_STARTTLS);
    assert_int_equal(smtp_tls_for(S("localhost"), 1025), SMTP_TLS_OFF);
    arena_close(&a);
}

static int group_begin(void **state)
{
    (void)state;
    buf_init(&mail, 1 << 20);
    upstream_open(serve);
    loops_begin(1);
    return 0;
}

static int group_end(void **state)
{
    (void)state;
    loops_end();
    smtp_close();
    upstream_close();
    buf_free(&mail);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taken),         cmocka_unit_test(refused_or_later),
        cmocka_unit_test(passwords),     cmocka_unit_test(no_tls_no_mail),
        cmocka_unit_test(breaker_opens), cmocka_unit_test(headers),
        cmocka_unit_test(encoded_words), cmocka_unit_test(bodies),
        cmocka_unit_test(injection),     cmocka_unit_test(urls),
    };
    return cmocka_run_group_tests(tests, group_begin, group_end);
}
