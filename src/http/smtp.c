/* SPDX-License-Identifier: Apache-2.0 */
#include "http/smtp.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/hex.h"
#include "base/list.h"
#include "base/rand.h"
#include "base/secret.h"
#include "base/url.h"
#include "base/utf8.h"
#include "base/uuid.h"
#include "http/field.h"
#include "http/transfer.h"
#include "ops/breaker.h"
#include "runtime/offload.h"

enum {
    MESSAGE_MAX = 1024 * 1024,
    ADDRESS_MAX = 320, /* RFC 5321: 64 + "@" + 255 */
    PLAIN_MAX = 60,    /* a longer text in a header is encoded, which folds it */
    WORD_BYTES = 45, /* of text in an encoded word: 60 of base64 + 12, at most 75 (RFC 2047 §2) */
    QUOTED_COLUMNS = 73,  /* and room for "=XX" within 76 (RFC 2045 §6.7) */
    FIELD_LINE_MAX = 900, /* of a further header: RFC 5322 allows 998 */
    DEFAULT_TIMEOUT_US = 15 * 1000 * 1000,
    RESPONSE_TIMEOUT_S = 10, /* to one command; libcurl knows no other limit for QUIT */
    THREADS = 4,
    QUEUE_MAX = 64,
    KEPT_MS = 10 * 1000, /* a connection without mails */
    CLOSE_MS = 1000,
    PORT_SUBMISSION = 587,
    PORT_SUBMISSIONS = 465,
};

/* ---- the message ----------------------------------------------------------------------------- */

static bool address_usable(struct str s)
{
    size_t at;
    if (s.n > ADDRESS_MAX || !str_find_char(s, '@', &at) || at == 0 || at + 1 == s.n)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= 0x20 || c >= 0x7f || strchr("<>\"(),:;\\[]", c))
            return false;
    }
    return true;
}

static bool plain(struct str s)
{
    size_t at;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c >= 0x7f)
            return false;
    }
    return s.n <= PLAIN_MAX && !str_find(s, S("=?"), &at);
}

/* RFC 2047 §4.1, cut between characters; the continuation lines are folded. */
static void put_words(struct buf *b, struct str s)
{
    for (size_t from = 0; from < s.n;) {
        size_t to = from;
        for (size_t n; to < s.n && (n = utf8_next(s, to)) > 0 && to + n - from <= WORD_BYTES;)
            to += n;
        buf_str(b, from > 0 ? S("\r\n =?UTF-8?B?") : S("=?UTF-8?B?"));
        base64_put(b, str_of(s.p + from, to - from));
        buf_str(b, S("?="));
        from = to;
    }
}

/* As an unstructured field's text. */
static void put_text(struct buf *b, struct str s)
{
    if (plain(s))
        buf_str(b, s);
    else
        put_words(b, s);
}

/* As a display name: a quoted string or encoded words (RFC 5322 §3.4). */
static void put_name(struct buf *b, struct str s)
{
    if (!plain(s)) {
        put_words(b, s);
        return;
    }
    buf_char(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            buf_char(b, '\\');
        buf_char(b, s.p[i]);
    }
    buf_char(b, '"');
}

static bool one_line(struct str s)
{
    size_t at;
    return utf8_valid(s) && !str_find_char(s, '\r', &at) && !str_find_char(s, '\n', &at)
           && !str_find_char(s, '\0', &at);
}

static size_t newline_at(struct str s, size_t i)
{
    if (s.p[i] == '\n')
        return 1;
    return s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n' ? 2 : 0;
}

/* Quoted-printable (RFC 2045 §6.7): readable where it is ASCII, lines of at most 76. */
static void put_quoted(struct buf *b, struct str s)
{
    size_t column = 0;
    for (size_t i = 0; i < s.n; i++) {
        size_t newline = newline_at(s, i);
        if (newline > 0) {
            buf_str(b, S("\r\n"));
            column = 0;
            i += newline - 1;
            continue;
        }
        if (column >= QUOTED_COLUMNS) {
            buf_str(b, S("=\r\n"));
            column = 0;
        }
        unsigned char c = (unsigned char)s.p[i];
        bool space_at_end = (c == ' ' || c == '\t') && (i + 1 == s.n || newline_at(s, i + 1) > 0);
        if (c != '=' && !space_at_end && (c == '\t' || (c >= 0x20 && c < 0x7f))) {
            buf_char(b, (char)c);
            column++;
        } else {
            buf_printf(b, "=%02X", c);
            column += 3;
        }
    }
    buf_str(b, S("\r\n"));
}

static void put_part(struct buf *b, const char *type, struct str body)
{
    buf_printf(b,
               "Content-Type: %s; charset=utf-8\r\n"
               "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
               type);
    put_quoted(b, body);
}

static void put_bodies(struct buf *b, const struct smtp_message *m)
{
    if (!m->html.p || !m->text.p) {
        put_part(b, m->html.p ? "text/html" : "text/plain", m->html.p ? m->html : m->text);
        return;
    }
    unsigned char random[12];
    char boundary[2 * sizeof(random) + 1];
    rand_bytes(random, sizeof(random));
    hex_encode(random, sizeof(random), boundary);
    /* "=_" cannot occur in quoted-printable */
    buf_printf(b, "Content-Type: multipart/alternative; boundary=\"=_%s\"\r\n", boundary);
    buf_printf(b, "\r\n--=_%s\r\n", boundary);
    put_part(b, "text/plain", m->text);
    buf_printf(b, "\r\n--=_%s\r\n", boundary);
    put_part(b, "text/html", m->html);
    buf_printf(b, "\r\n--=_%s--\r\n", boundary);
}

/* Headers that are ours to write, or that would steer the delivery. */
static bool field_is_ours(struct str name)
{
    static const char *const ours[] = {"from",        "to",       "cc",          "bcc",
                                       "subject",     "date",     "message-id",  "sender",
                                       "return-path", "received", "mime-version"};
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (str_eq_nocase(name, str_from(ours[i])))
            return true;
    }
    return str_starts_nocase(name, S("content-")) || str_starts_nocase(name, S("resent-"));
}

static bool put_fields(struct buf *b, struct str fields)
{
    struct str name, value;
    while (field_next(&fields, &name, &value)) {
        if (field_is_ours(name) || name.n + value.n > FIELD_LINE_MAX || !one_line(value))
            return false;
        buf_printf(b, "%.*s: %.*s\r\n", STR_ARG(name), STR_ARG(value));
    }
    return fields.n == 0;
}

static void put_date(struct buf *b, int64_t wall_us)
{
    char date[30]; /* "…, 02 Jan 2026 03:04:05 GMT" */
    clock_http_date(wall_us ? wall_us : clock_wall_us(), date);
    buf_printf(b, "Date: %.26s+0000\r\n", date);
}

static void put_message_id(struct buf *b, const struct smtp_message *m)
{
    size_t at = 0;
    if (m->message_id.p) {
        buf_printf(b, "Message-ID: <%.*s>\r\n", STR_ARG(m->message_id));
        return;
    }
    str_find_char(m->from, '@', &at);
    struct uuid id = uuid_v7();
    buf_printf(b, "Message-ID: <%s%.*s>\r\n", id.text, STR_ARG(str_from_at(m->from, at)));
}

static bool refused(struct err *e, const char *why)
{
    err_set(e, 502, "smtp_rejected", "The mail could not be sent");
    return err_detail(e, "%s", why);
}

static bool message_usable(const struct smtp_message *m, struct err *e)
{
    if (!address_usable(m->from) || !address_usable(m->to))
        return refused(e, "sender or recipient is no usable address");
    if (!one_line(m->subject) || !one_line(m->from_name))
        return refused(e, "subject or sender's name has a line break or is not UTF-8");
    if (m->message_id.p && !address_usable(m->message_id))
        return refused(e, "malformed Message-ID");
    if (!m->text.p && !m->html.p)
        return refused(e, "the mail has no body");
    return true;
}

bool smtp_compose(const struct smtp_message *m, struct buf *out, struct err *e)
{
    if (!message_usable(m, e))
        return false;
    put_date(out, m->date_us);
    buf_str(out, S("From: "));
    if (m->from_name.n > 0) {
        put_name(out, m->from_name);
        buf_char(out, ' ');
    }
    buf_printf(out, "<%.*s>\r\nTo: <%.*s>\r\nSubject: ", STR_ARG(m->from), STR_ARG(m->to));
    put_text(out, m->subject);
    buf_str(out, S("\r\n"));
    put_message_id(out, m);
    buf_str(out, S("MIME-Version: 1.0\r\n"));
    if (!put_fields(out, m->headers))
        return refused(e, "a further header is malformed or one that we write");
    put_bodies(out, m);
    return !out->failed || refused(e, "the mail is too large");
}

/* ---- where it goes --------------------------------------------------------------------------- */

static bool is_loopback(struct str host)
{
    return str_eq_nocase(host, S("localhost")) || str_is(host, "::1")
           || str_starts(host, S("127."));
}

enum smtp_tls smtp_tls_for(struct str host, int port)
{
    if (port == PORT_SUBMISSIONS)
        return SMTP_TLS_IMPLICIT;
    return is_loopback(host) ? SMTP_TLS_OFF : SMTP_TLS_STARTTLS;
}

/* NUL would cut them; line breaks are libcurl's to encode, but no honest password has one. */
static bool credential(struct arena *a, struct str encoded, struct str *out)
{
    *out = url_decode(a, encoded, false);
    return out->p && one_line(*out);
}

static bool url_bad(struct err *e, const char *why)
{
    return err_set(e, 400, "smtp_url_invalid",
                   "smtp_url: %s; it looks like smtp://user:password@host:587", why);
}

bool smtp_server_parse(struct str url, struct arena *a, struct smtp_server *out, struct err *e)
{
    struct url_parts u;
    if (!url_parse(url, &u) || u.host.n == 0)
        return url_bad(e, "not a URL");
    bool implicit = str_eq_nocase(u.scheme, S("smtps"));
    if (!implicit && !str_eq_nocase(u.scheme, S("smtp")))
        return url_bad(e, "the scheme is smtp or smtps");
    if (u.fragment.p || (u.path.n > 0 && !str_is(u.path, "/")))
        return url_bad(e, "nothing comes after the port but ?tls=off");
    struct smtp_server s = {.host = u.host, .port = u.port};
    if (s.port < 0)
        s.port = implicit ? PORT_SUBMISSIONS : PORT_SUBMISSION;
    s.tls = implicit ? SMTP_TLS_IMPLICIT : smtp_tls_for(u.host, 0);
    if (str_is(u.query, "tls=off") && !implicit)
        s.tls = SMTP_TLS_OFF;
    else if (str_is(u.query, "tls=starttls") && !implicit)
        s.tls = SMTP_TLS_STARTTLS;
    else if (u.query.n > 0)
        return url_bad(e, "the one option is ?tls=off or ?tls=starttls, of smtp://");
    struct str user = {0}, password = {0};
    if (u.userinfo.p) {
        str_cut(u.userinfo, ':', &user, &password);
        if (!credential(a, user, &s.user)
            || !credential(a, password.p ? password : S(""), &s.password))
            return url_bad(e, "user or password is badly encoded");
    }
    *out = s;
    return true;
}

/* ---- sending --------------------------------------------------------------------------------- */

/*
 * On threads: libcurl's SMTP waits for the reply to a message, and to QUIT, without giving its
 * caller back, on whichever interface; a mail server that hangs would stop a loop.
 */
static struct offload_pool *pool;
static atomic_bool closing;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of both; held for moments */
/*
 * With a connection that may still live. Those without TLS are apart: libcurl would take one of them
 * also where TLS is required.
 */
static CURL *kept[2][THREADS];

/* NULL when there is none. */
static CURL *kept_take(bool encrypted)
{
    CURL *found = NULL;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < THREADS && !found; i++) {
        found = kept[encrypted][i];
        kept[encrypted][i] = NULL;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static void kept_put(CURL *easy, bool encrypted)
{
    curl_easy_reset(easy); /* forgets passwords, keeps connections */
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < THREADS && easy; i++) {
        if (!kept[encrypted][i]) {
            kept[encrypted][i] = easy;
            easy = NULL;
        }
    }
    pthread_mutex_unlock(&lock);
    BUG(easy); /* there are as many places as threads */
}

/* On a thread without work: says goodbye to the servers. */
static void kept_drop(void)
{
    for (unsigned i = 0; i < 2 * THREADS; i++)
        curl_easy_cleanup(kept_take(i % 2)); /* NULL is nothing */
}

static bool pool_open(struct err *e)
{
    const struct offload_config c = {.name = "smtp",
                                     .threads = THREADS,
                                     .queue_max = QUEUE_MAX,
                                     .idle = kept_drop,
                                     .idle_ms = KEPT_MS};
    pthread_mutex_lock(&lock);
    bool ok = pool || offload_open(&c, &pool, e);
    pthread_mutex_unlock(&lock);
    return ok;
}

void smtp_close(void)
{
    if (!pool)
        return;
    atomic_store(&closing, true);
    offload_close(pool, CLOSE_MS);
    pool = NULL;
    atomic_store(&closing, false); /* tests open it again */
    kept_drop();
}

/* One message on its way to its thread and back; its own memory throughout. */
struct delivery {
    struct offload_job job;
    struct secret url, user, password, from, to;
    bool must_encrypt;
    long timeout_ms;
    struct buf message;
    size_t sent;
    /* what came of it */
    CURLcode result;
    long reply;                /* code of the server's last one; 0: none */
    char why[CURL_ERROR_SIZE]; /* libcurl's words; for logs */
};

static void delivery_free(struct delivery **at)
{
    struct delivery *d = *at;
    if (!d)
        return;
    secret_wipe(&d->url);
    secret_wipe(&d->user);
    secret_wipe(&d->password);
    secret_wipe(&d->from);
    secret_wipe(&d->to);
    if (d->message.p)
        secret_wipe_bytes(d->message.p, d->message.n); /* it has tokens */
    buf_free(&d->message);
    free(d);
    *at = NULL;
}

static void delivery_drop(struct offload_job *job)
{
    struct delivery *d = LIST_ENTRY(job, struct delivery, job);
    delivery_free(&d);
}

static size_t on_read(char *p, size_t size, size_t n, void *arg)
{
    struct delivery *d = arg;
    size_t left = d->message.n - d->sent;
    n = size * n < left ? size * n : left;
    memcpy(p, d->message.p + d->sent, n);
    d->sent += n;
    return n;
}

/* A connection that was kept and is dead: libcurl begins again on a new one. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct delivery *d = arg;
    if (origin != SEEK_SET || offset < 0 || (size_t)offset > d->message.n)
        return CURL_SEEKFUNC_FAIL;
    d->sent = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* Once a second while a server says nothing: nobody waits for it when we stop. */
static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)arg, (void)a, (void)b, (void)c, (void)d;
    return atomic_load(&closing);
}

/* On a thread of the pool. */
static void delivery_run(struct offload_job *job)
{
    struct delivery *d = LIST_ENTRY(job, struct delivery, job);
    CURL *h = kept_take(d->must_encrypt);
    if (!h)
        h = curl_easy_init();
    struct curl_slist *recipients = h ? curl_slist_append(NULL, d->to.p) : NULL;
    if (!recipients) {
        d->result = CURLE_OUT_OF_MEMORY;
        curl_easy_cleanup(h);
        return;
    }
    transfer_prepare(h, d->why);
    curl_easy_setopt(h, CURLOPT_URL, d->url.p);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(h, CURLOPT_USE_SSL,
                     (long)(d->must_encrypt ? CURLUSESSL_ALL : CURLUSESSL_NONE));
    curl_easy_setopt(h, CURLOPT_USERNAME, d->user.p); /* NULL: none */
    curl_easy_setopt(h, CURLOPT_PASSWORD, d->password.p);
    curl_easy_setopt(h, CURLOPT_MAIL_FROM, d->from.p);
    curl_easy_setopt(h, CURLOPT_MAIL_RCPT, recipients);
    curl_easy_setopt(h, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(h, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(h, CURLOPT_READDATA, d);
    curl_easy_setopt(h, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(h, CURLOPT_SEEKDATA, d);
    curl_easy_setopt(h, CURLOPT_INFILESIZE_LARGE, (curl_off_t)d->message.n);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, d->timeout_ms);
    curl_easy_setopt(h, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)RESPONSE_TIMEOUT_S);
    curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    d->result = curl_easy_perform(h);
    curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &d->reply);
    kept_put(h, d->must_encrypt);
    curl_slist_free_all(recipients);
}

static struct secret bracketed(struct str address)
{
    char text[ADDRESS_MAX + 8];
    int n = snprintf(text, sizeof(text), "<%.*s>", STR_ARG(address));
    return secret_copy(str_of(text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1));
}

static struct secret url_of(const struct smtp_server *s)
{
    size_t at;
    char text[ADDRESS_MAX + 32];
    bool v6 = str_find_char(s->host, ':', &at);
    int n = snprintf(text, sizeof(text), "%s://%s%.*s%s:%d",
                     s->tls == SMTP_TLS_IMPLICIT ? "smtps" : "smtp", v6 ? "[" : "",
                     STR_ARG(s->host), v6 ? "]" : "", s->port);
    return secret_copy(str_of(text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1));
}

static void delivery_set_up(struct delivery *d, const struct smtp_server *s,
                            const struct smtp_message *m)
{
    int64_t timeout_us = s->timeout_us > 0 ? s->timeout_us : DEFAULT_TIMEOUT_US;
    if (timeout_us > fiber_time_left_us())
        timeout_us = fiber_time_left_us();
    d->timeout_ms = (long)(timeout_us / CLOCK_MS) + 1;
    d->job.run = delivery_run;
    d->job.drop = delivery_drop;
    d->url = url_of(s);
    d->from = bracketed(m->from);
    d->to = bracketed(m->to);
    d->must_encrypt = s->tls != SMTP_TLS_OFF;
    if (s->user.n > 0) {
        d->user = secret_copy(s->user);
        d->password = secret_copy(s->password.p ? s->password : S(""));
    }
}

static bool later(struct err *e, const char *why)
{
    err_set(e, 503, "smtp_temporary", "The mail could not be sent, try again later");
    return err_detail(e, "%s", why);
}

/*
 * For good is only what the server said with 5xx about this message: to MAIL, RCPT or DATA. A
 * refused password is the operator's to mend, and the mail shall wait for it.
 */
static bool delivery_ended(const struct delivery *d, struct err *e)
{
    CURLcode r = d->result;
    if (r == CURLE_OK)
        return true;
    bool about_message =
        r == CURLE_SEND_ERROR || r == CURLE_WEIRD_SERVER_REPLY || r == CURLE_RECV_ERROR;
    if (about_message && d->reply >= 500 && d->reply < 600)
        refused(e, "");
    else
        later(e, "");
    return err_detail(e, "%s; last reply %ld", d->why[0] ? d->why : curl_easy_strerror(r),
                      d->reply);
}

static bool delivery_wait(struct delivery **at, struct err *e)
{
    struct delivery *d = *at;
    *at = NULL; /* the pool's, until it has run */
    if (offload_run(pool, &d->job, e)) {
        *at = d;
        return delivery_ended(d, e);
    }
    if (e->status == 429)
        return later(e, "too many mails are on their way");
    return e->status == 499 ? false : later(e, "the mail server did not answer in time");
}

bool smtp_send(const struct smtp_server *s, const struct smtp_message *m, struct err *e)
{
    struct breaker *b = breaker_named(BREAKER_smtp);
    CLEANUP(delivery_free) struct delivery *d = calloc(1, sizeof(*d));
    BUG(!d); /* out of memory */
    buf_init(&d->message, MESSAGE_MAX);
    if (!smtp_compose(m, &d->message, e) || !pool_open(e))
        return false;
    if (!breaker_allow(b))
        return later(e, "the mail server has failed too often and is not called for now");
    delivery_set_up(d, s, m);
    bool ok = delivery_wait(&d, e);
    if (ok || e->status != 499) /* a message that it refuses is no sign that it does not work */
        breaker_report(b, ok || e->status == 502);
    return ok;
}
