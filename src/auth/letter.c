/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/letter.h"

#include <stdlib.h>

#include "auth/auth_mail.h"
#include "auth/template.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "http/client.h"
#include "runtime/file.h"

enum {
    SUBJECT_MAX = 998 / 2, /* a line of RFC 5322, encoded */
    HTML_MAX = 4 * 1024 * 1024,
    PATH_SHOWN = 4096,
};
static const int64_t age_us = 600 * CLOCK_S;  /* GoTrue's TEMPLATE_MAX_AGE */
static const int64_t retry_us = 10 * CLOCK_S; /* and TEMPLATE_RETRY_INTERVAL */
static const int64_t fetch_us = 10 * CLOCK_S;

struct kind_row {
    const char *name;
    enum mail_path path;
    const char *subject, *html;
};

static const struct kind_row kinds[MAIL_KIND_COUNT] = {
#define MAIL(id, name, path, subject) \
    [MAIL_##id] = {#name, MAIL_PATH_##path, subject, auth_mail_##name},
#define NOTICE(id, name, subject)                                                 \
    [MAIL_##id##_NOTIFICATION] = {#name "_notification", MAIL_PATH_none, subject, \
                                  auth_mail_##name##_notification},
#include "auth/mail.def"
};

static const char *const variables[] = {"SiteURL",   "ConfirmationURL", "Email", "NewEmail",
                                        "Token",     "TokenHash",       "Data",  "RedirectTo",
                                        "SendingTo", "OldEmail",        "Phone", "OldPhone",
                                        "Provider",  "FactorType",      NULL};

/* A template of the HTML; what is fetched has memory of its own, which goes with it. */
struct page {
    struct template *t;
    struct arena fetched;
    struct str url; /* absent: built in or a file */
    int64_t at_us;  /* when it was fetched; 0: never */
    int64_t tried_us;
};

struct letters {
    struct arena arena;
    struct template *subjects[MAIL_KIND_COUNT];
    struct page pages[MAIL_KIND_COUNT];
};

const char *letter_kind_name(enum mail_kind kind)
{
    return kinds[kind].name;
}

enum mail_path letter_path(enum mail_kind kind)
{
    return kinds[kind].path;
}

bool letter_kind(struct str name, enum mail_kind *out)
{
    for (unsigned i = 0; i < MAIL_KIND_COUNT; i++)
        if (str_is(name, kinds[i].name)) {
            *out = (enum mail_kind)i;
            return true;
        }
    return false;
}

/* ---- reading ------------------------------------------------------------------------------------ */

/* A template of an operator's: e names what it is of. */
static bool read_template(struct letters *l, struct str source, bool html, const char *what,
                          struct template **out, struct err *e)
{
    struct err why = {0};
    if (!utf8_valid(source))
        return err_set(e, 2, "config", "%s is not UTF-8", what);
    return template_parse(source, html, variables, &l->arena, out, &why)
           || err_set(e, 2, "config", "%s: %s", what, why.message);
}

static bool read_file(struct letters *l, const char *path, bool html, struct template **out,
                      struct err *e)
{
    struct buf b;
    buf_init(&b, TEMPLATE_MAX);
    bool ok = file_now_read(path, TEMPLATE_MAX, &b, e);
    if (!ok) {
        struct err why = *e;
        err_set(e, 2, "config", "the mail template %.80s cannot be read", path);
        err_detail(e, "%s", why.detail[0] ? why.detail : why.message);
    }
    ok = ok && read_template(l, buf_view(&b), html, path, out, e);
    buf_free(&b);
    return ok;
}

/* NULL: no folder, or no such file in it. */
static const char *in_folder(struct letters *l, const struct auth_config *c, enum mail_kind kind,
                             const char *ending)
{
    if (!c->mail_folder)
        return NULL;
    const char *path =
        arena_printf(&l->arena, "%.3000s/%s.%s", c->mail_folder, kinds[kind].name, ending).p;
    return file_now_exists(path) ? path : NULL;
}

static bool subject_open(struct letters *l, const struct auth_config *c, enum mail_kind kind,
                         struct err *e)
{
    const char *set = c->mail_subjects[kind], *file = in_folder(l, c, kind, "subject");
    struct template **out = &l->subjects[kind];
    if (!set && file)
        return read_file(l, file, false, out, e);
    struct str name = arena_printf(&l->arena, "mailer_subjects_%s", kinds[kind].name);
    return read_template(l, str_from(set ? set : kinds[kind].subject), false, name.p, out, e);
}

static bool page_open(struct letters *l, const struct auth_config *c, enum mail_kind kind,
                      struct err *e)
{
    const char *set = c->mail_templates[kind];
    struct page *p = &l->pages[kind];
    if (set
        && (str_starts(str_from(set), S("http://")) || str_starts(str_from(set), S("https://"))))
        p->url = str_from(set);
    else if (set || (set = in_folder(l, c, kind, "html")))
        return read_file(l, set, true, &p->t, e);
    return read_template(l, str_from(kinds[kind].html), true, kinds[kind].name, &p->t, e);
}

bool letter_open(const struct auth_config *c, struct letters **out, struct err *e)
{
    struct letters *l = calloc(1, sizeof(*l));
    BUG(!l);
    arena_init(&l->arena, SIZE_MAX);
    for (unsigned i = 0; i < MAIL_KIND_COUNT; i++)
        arena_init(&l->pages[i].fetched, 4 * TEMPLATE_MAX);
    for (unsigned i = 0; i < MAIL_KIND_COUNT; i++)
        if (!subject_open(l, c, (enum mail_kind)i, e) || !page_open(l, c, (enum mail_kind)i, e)) {
            letter_close(l);
            return false;
        }
    *out = l;
    return true;
}

void letter_close(struct letters *l)
{
    if (!l)
        return;
    for (unsigned i = 0; i < MAIL_KIND_COUNT; i++)
        arena_close(&l->pages[i].fetched);
    arena_close(&l->arena);
    free(l);
}

/* ---- fetching ----------------------------------------------------------------------------------- */

static bool fetch(struct page *p, struct arena *a, struct err *e)
{
    struct client_request r = {
        .method = "GET", .url = p->url, .timeout_us = fetch_us, .response_max = TEMPLATE_MAX};
    struct client_response answer;
    struct arena memory;
    struct template *t;
    if (!client_fetch(&r, a, &answer, e))
        return false;
    if (answer.status != 200)
        return err_set(e, 502, "upstream_unreachable", "the mail template answered %d",
                       answer.status);
    arena_init(&memory, 4 * TEMPLATE_MAX);
    if (!utf8_valid(answer.body) || !template_parse(answer.body, true, variables, &memory, &t, e)) {
        arena_close(&memory);
        return e->status || err_set(e, 400, "template_invalid", "the mail template is not UTF-8");
    }
    arena_close(&p->fetched);
    p->fetched = memory;
    p->t = t;
    p->at_us = clock_mono_us();
    return true;
}

/* A URL's template, new enough; what was fetched before, or is built in, while it cannot be had. */
static void refresh(struct page *p, enum mail_kind kind, struct arena *a)
{
    struct err e = {0};
    int64_t now = clock_mono_us();
    bool fresh = p->at_us && now - p->at_us < age_us;
    if (!p->url.p || fresh || (p->tried_us && now - p->tried_us < retry_us))
        return;
    p->tried_us = now;
    if (fetch(p, a, &e))
        return;
    struct log_line l;
    log_begin(&l, LOG_WARN, "mail.template_failed");
    log_cstr(&l, "kind", kinds[kind].name);
    log_cstr(&l, "message", e.message);
    log_err(&l, &e);
    log_end(&l);
}

/* ---- rendering ---------------------------------------------------------------------------------- */

/* One line, whatever a user's name holds. */
static struct str one_line(struct buf *b)
{
    for (size_t i = 0; i < b->n; i++)
        if ((unsigned char)b->p[i] < ' ' || b->p[i] == 0x7f)
            b->p[i] = ' ';
    return buf_view(b);
}

bool letter_render(struct letters *l, enum mail_kind kind, struct str data, struct arena *a,
                   struct letter *out, struct err *e)
{
    struct buf subject, html;
    refresh(&l->pages[kind], kind, a);
    buf_init_arena(&subject, a, SUBJECT_MAX);
    buf_init_arena(&html, a, HTML_MAX);
    template_render(l->subjects[kind], data, a, &subject);
    template_render(l->pages[kind].t, data, a, &html);
    if (subject.failed || html.failed)
        return err_set(e, 413, "request_entity_too_large", "the mail is too large");
    *out = (struct letter){one_line(&subject), buf_view(&html)};
    return true;
}
