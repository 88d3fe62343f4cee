/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/template.h"

#include <ctype.h>

#include "base/json.h"

enum {
    DEPTH_MAX = 16, /* ifs inside each other */
    PATH_MAX_PARTS = 4,
};

/* Where a value stands (html/template's contexts, as far as mails have them). */
enum place {
    PLACE_PLAIN, /* a subject */
    PLACE_TEXT,
    PLACE_QUOTED,   /* an attribute's value */
    PLACE_UNQUOTED, /* the same without quotes */
    PLACE_URL,      /* the beginning of a URL: its scheme is looked at */
    PLACE_URL_PATH,
    PLACE_URL_QUERY,
};

enum step_kind { STEP_TEXT, STEP_VALUE, STEP_IF, STEP_JUMP };
enum test { TEST_SET, TEST_NOT_SET, TEST_EQUAL, TEST_NOT_EQUAL };

struct step {
    enum step_kind kind;
    struct str text;                 /* STEP_TEXT; the literal of a comparison */
    struct str path[PATH_MAX_PARTS]; /* "Data", "name" */
    enum place place;                /* STEP_VALUE */
    enum test test;                  /* STEP_IF */
    unsigned to;                     /* STEP_IF when it does not hold, STEP_JUMP always */
};

struct template
{
    struct step *steps;
    unsigned count;
};

/* ---- where in the HTML ------------------------------------------------------------------------ */

/* A reader of HTML that knows no more than where values stand. */
struct spot {
    enum { IN_TEXT, IN_TAG, IN_VALUE } in;
    char quote;     /* of the value: ", ' or 0 */
    bool name_over; /* a blank or = came after the attribute's name */
    bool url;       /* the attribute is one */
    bool begun;     /* the value is not at its beginning */
    bool query;     /* a ? or # was in it */
    char name[16];  /* of the tag or attribute, lower case, cut */
    unsigned name_n;
};

static bool name_is(const struct spot *s, const char *what)
{
    return str_is(str_of(s->name, s->name_n), what);
}

static bool is_url_name(const struct spot *s)
{
    static const char *const names[] = {"href",       "src",  "action", "formaction",
                                        "background", "cite", "poster"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (name_is(s, names[i]))
            return true;
    return false;
}

static void spot_value_begin(struct spot *s, char quote)
{
    s->url = is_url_name(s);
    s->in = IN_VALUE;
    s->quote = quote;
    s->begun = s->query = false;
}

static void spot_tag(struct spot *s, char c)
{
    bool blank = c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '/';
    if (c == '>') {
        s->in = IN_TEXT;
    } else if (c == '=') {
        s->name_over = true;
        s->begun = true; /* here: an = was seen, the value comes */
    } else if (s->begun && !blank) {
        spot_value_begin(s, c == '"' || c == '\'' ? c : 0);
        s->begun = s->quote == 0;
    } else if (blank) {
        s->name_over = true;
    } else {
        if (s->name_over)
            s->name_n = 0;
        s->name_over = false;
        if (s->name_n < sizeof(s->name))
            s->name[s->name_n++] = (char)tolower((unsigned char)c);
    }
}

static void spot_value(struct spot *s, char c)
{
    bool ends = s->quote ? c == s->quote : c == ' ' || c == '\t' || c == '\n' || c == '>';
    if (!ends) {
        s->begun = true;
        s->query = s->query || c == '?' || c == '#';
        return;
    }
    s->in = c == '>' ? IN_TEXT : IN_TAG;
    s->name_over = true;
    s->begun = false;
    s->name_n = 0;
}

static void spot_read(struct spot *s, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        bool opens =
            i + 1 < text.n && (isalpha((unsigned char)text.p[i + 1]) || text.p[i + 1] == '/');
        if (s->in == IN_TAG)
            spot_tag(s, c);
        else if (s->in == IN_VALUE)
            spot_value(s, c);
        else if (c == '<' && opens)
            *s = (struct spot){.in = IN_TAG};
    }
}

static bool spot_same(const struct spot *a, const struct spot *b)
{
    return a->in == b->in && a->quote == b->quote && a->url == b->url;
}

/* Where a value is that comes now; false where none may be (the name of a tag or an attribute). */
static bool spot_place(struct spot *s, enum place *out)
{
    if (s->in == IN_TAG && !s->begun)
        return false;
    if (s->in == IN_TAG)
        spot_value_begin(s, 0);
    if (s->in == IN_TEXT)
        *out = PLACE_TEXT;
    else if (s->url && s->quote)
        *out = !s->begun ? PLACE_URL : s->query ? PLACE_URL_QUERY : PLACE_URL_PATH;
    else if (s->url) /* without quotes a URL could end early */
        return false;
    else
        *out = s->quote ? PLACE_QUOTED : PLACE_UNQUOTED;
    s->begun = s->in == IN_VALUE;
    return true;
}

/* ---- parsing ------------------------------------------------------------------------------------ */

/* An open if: where its test and the jumps out of its branches are. */
struct branch {
    unsigned test;  /* step whose `to` is the next branch */
    unsigned jumps; /* chain of STEP_JUMPs that lead to the end, linked by `to`; 0: none */
    bool has_else;
    struct spot before; /* each branch begins where the if stood */
    struct spot after;  /* and all end alike */
};

struct parser {
    struct str source;
    size_t at;
    bool html, trim; /* trim: the action before ended in -}} */
    const char *const *names;
    struct template *t;
    unsigned room; /* steps */
    struct spot spot;
    struct branch open[DEPTH_MAX];
    unsigned depth;
    struct err *e;
};

static unsigned line_of(const struct parser *p)
{
    unsigned line = 1;
    for (size_t i = 0; i < p->at && i < p->source.n; i++)
        line += p->source.p[i] == '\n';
    return line;
}

static bool wrong(struct parser *p, const char *what, struct str which)
{
    if (which.n > 60)
        which.n = 60;
    return err_set(p->e, 400, "template_invalid", "line %u: %s%s%.*s", line_of(p), what,
                   which.n ? " " : "", STR_ARG(which));
}

static struct step *step_add(struct parser *p, enum step_kind kind)
{
    BUG(p->t->count == p->room);
    struct step *s = &p->t->steps[p->t->count++];
    s->kind = kind;
    return s;
}

static struct str trim_space(struct str s, bool front, bool back)
{
    while (front && s.n > 0 && isspace((unsigned char)s.p[0])) {
        s.p++;
        s.n--;
    }
    while (back && s.n > 0 && isspace((unsigned char)s.p[s.n - 1]))
        s.n--;
    return s;
}

static bool known(const struct parser *p, struct str name)
{
    for (size_t i = 0; p->names[i]; i++)
        if (str_is(name, p->names[i]))
            return true;
    return false;
}

static bool path_read(struct parser *p, struct str word, struct str path[PATH_MAX_PARTS])
{
    struct str part, rest = str_from_at(word, 1);
    unsigned n = 0;
    if (word.n < 2 || word.p[0] != '.')
        return wrong(p, "this action is not understood here:", word);
    for (bool more = true; more; n++) {
        more = str_cut(rest, '.', &part, &rest);
        if (n == PATH_MAX_PARTS || part.n == 0)
            return wrong(p, "this is no variable:", word);
        for (size_t i = 0; i < part.n; i++)
            if (!isalnum((unsigned char)part.p[i]) && part.p[i] != '_')
                return wrong(p, "this is no variable:", word);
        path[n] = part;
    }
    if (!known(p, path[0]) || (n > 1 && !str_is(path[0], "Data")))
        return wrong(p, "there is no variable", word);
    return true;
}

static bool next_word(struct str *rest, struct str *word)
{
    *rest = trim_space(*rest, true, true);
    size_t n = 0;
    bool quoted = rest->n > 0 && rest->p[0] == '"';
    while (n < rest->n
           && (n == 0
               || (quoted ? rest->p[n - 1] != '"' || n == 1 : !isspace((unsigned char)rest->p[n]))))
        n++;
    *word = str_of(rest->p, n);
    *rest = str_from_at(*rest, n);
    return n > 0;
}

/* What stands behind if: .X, not .X, eq .X "y", ne .X "y". */
static bool test_read(struct parser *p, struct str text, struct step *s)
{
    struct str word, rest = text;
    s->test = TEST_SET;
    next_word(&rest, &word);
    if (str_is(word, "not"))
        s->test = TEST_NOT_SET;
    else if (str_is(word, "eq"))
        s->test = TEST_EQUAL;
    else if (str_is(word, "ne"))
        s->test = TEST_NOT_EQUAL;
    if (s->test != TEST_SET)
        next_word(&rest, &word);
    if (!path_read(p, word, s->path))
        return false;
    if (s->test == TEST_EQUAL || s->test == TEST_NOT_EQUAL) {
        if (!next_word(&rest, &word) || word.n < 2 || word.p[0] != '"' || word.p[word.n - 1] != '"')
            return wrong(p, "a text in double quotes is missing in", text);
        s->text = str_of(word.p + 1, word.n - 2);
    }
    return !next_word(&rest, &word) || wrong(p, "too much is asked by if", text);
}

static bool if_begin(struct parser *p, struct str test)
{
    if (p->depth == DEPTH_MAX)
        return wrong(p, "too many ifs inside each other", (struct str){0});
    p->open[p->depth++] =
        (struct branch){.test = p->t->count, .before = p->spot, .after = {.quote = 1}};
    struct step *s = step_add(p, STEP_IF);
    return test_read(p, test, s);
}

static bool branch_end(struct parser *p, struct branch *b)
{
    if (b->after.quote != 1 && !spot_same(&b->after, &p->spot))
        return wrong(p, "the branches of if end in different places of the HTML", (struct str){0});
    b->after = p->spot;
    return true;
}

static bool else_begin(struct parser *p, struct str test)
{
    if (p->depth == 0 || p->open[p->depth - 1].has_else)
        return wrong(p, "else without if", (struct str){0});
    struct branch *b = &p->open[p->depth - 1];
    struct step *jump = step_add(p, STEP_JUMP);
    if (!branch_end(p, b))
        return false;
    jump->to = b->jumps;
    b->jumps = p->t->count - 1;
    p->t->steps[b->test].to = p->t->count;
    p->spot = b->before;
    b->has_else = test.n == 0;
    if (b->has_else)
        return true;
    if (!str_starts(test, S("if ")))
        return wrong(p, "else is followed by", test);
    b->test = p->t->count;
    struct step *s = step_add(p, STEP_IF);
    return test_read(p, str_from_at(test, 3), s);
}

static bool if_end(struct parser *p)
{
    if (p->depth == 0)
        return wrong(p, "end without if", (struct str){0});
    struct branch *b = &p->open[--p->depth];
    if (!branch_end(p, b))
        return false;
    if (!b->has_else) { /* nothing is a branch too */
        if (!spot_same(&b->before, &p->spot))
            return wrong(p, "the branches of if end in different places of the HTML",
                         (struct str){0});
        p->t->steps[b->test].to = p->t->count;
    }
    for (unsigned at = b->jumps, next; at; at = next) {
        next = p->t->steps[at].to;
        p->t->steps[at].to = p->t->count;
    }
    return true;
}

static bool value(struct parser *p, struct str word)
{
    struct step *s = step_add(p, STEP_VALUE);
    if (!path_read(p, word, s->path))
        return false;
    if (p->html && !spot_place(&p->spot, &s->place))
        return wrong(p, "put the attribute around it in double quotes:", word);
    return true;
}

static bool action(struct parser *p, struct str text)
{
    struct str word, rest = text;
    if (str_starts(text, S("/*")))
        return str_ends(text, S("*/")) || wrong(p, "this comment has no end:", text);
    next_word(&rest, &word);
    rest = trim_space(rest, true, true);
    if (str_is(word, "if"))
        return if_begin(p, rest);
    if (str_is(word, "else"))
        return else_begin(p, rest);
    if (str_is(word, "end") && rest.n == 0)
        return if_end(p);
    return rest.n == 0 ? value(p, word) : wrong(p, "this action is not understood here:", text);
}

static bool text_add(struct parser *p, struct str text, bool trim_back)
{
    text = trim_space(text, p->trim, trim_back);
    p->trim = false;
    if (text.n == 0)
        return true;
    step_add(p, STEP_TEXT)->text = text;
    spot_read(&p->spot, text);
    return true;
}

/* Text up to the next action, and that. */
static bool piece(struct parser *p)
{
    struct str rest = str_from_at(p->source, p->at);
    size_t open, close;
    if (!str_find(rest, S("{{"), &open)) {
        p->at = p->source.n;
        return text_add(p, rest, false);
    }
    struct str inside = str_from_at(rest, open + 2);
    bool trim = inside.n > 1 && inside.p[0] == '-' && isspace((unsigned char)inside.p[1]);
    if (!text_add(p, str_of(rest.p, open), trim))
        return false;
    p->at += open;
    if (!str_find(inside, S("}}"), &close))
        return wrong(p, "an action has no end: }} is missing", (struct str){0});
    struct str text = str_of(inside.p + trim, close - trim);
    if (text.n > 1 && text.p[text.n - 1] == '-' && isspace((unsigned char)text.p[text.n - 2])) {
        p->trim = true;
        text.n--;
    }
    if (!action(p, trim_space(text, true, true)))
        return false;
    p->at += 2 + close + 2;
    return true;
}

/* An action makes two steps at most (else if), and there is a text before and after each. */
static unsigned steps_most(struct str rest)
{
    size_t at;
    unsigned n = 1;
    for (; str_find(rest, S("{{"), &at); n += 3)
        rest = str_from_at(rest, at + 2);
    return n;
}

bool template_parse(struct str source, bool html, const char *const *names, struct arena *a,
                    struct template **out, struct err *e)
{
    struct parser p = {.html = html, .names = names, .e = e};
    if (source.n > TEMPLATE_MAX)
        return err_set(e, 400, "template_invalid", "the template is larger than 1 MiB");
    p.source = arena_str(a, source.p ? source : S(""));
    p.t = arena_new(a, struct template, 1);
    if (!p.source.p)
        return err_set(e, 413, "request_entity_too_large", "the template is too large");
    p.room = steps_most(p.source);
    p.t->steps = arena_new(a, struct step, p.room);
    while (p.at < p.source.n)
        if (!piece(&p))
            return false;
    if (p.depth > 0)
        return wrong(&p, "an if has no end", (struct str){0});
    *out = p.t;
    return true;
}

/* ---- rendering ---------------------------------------------------------------------------------- */

/* Absent: not there or null. */
static struct str raw_of(const struct step *s, struct str data, struct arena *a)
{
    struct str v = data;
    for (unsigned i = 0; i < PATH_MAX_PARTS && s->path[i].p; i++) {
        const char *name = arena_cstr(a, s->path[i]);
        struct str inner = {0};
        if (!name || !json_get(v, name, JSON_ANY, &inner, a))
            return (struct str){0};
        v = inner;
    }
    return str_is(v, "null") ? (struct str){0} : v;
}

/* As it shows: texts decoded, the rest as JSON has it. */
static struct str shown(const struct step *s, struct str data, struct arena *a)
{
    struct str raw = raw_of(s, data, a), wrapped, text = {0};
    if (raw.n == 0 || raw.p[0] != '"')
        return raw;
    struct buf b;
    buf_init_arena(&b, a, raw.n + 16);
    BUF_LIT(&b, "{\"v\":");
    buf_str(&b, raw);
    buf_char(&b, '}');
    wrapped = buf_view(&b);
    return !b.failed && json_get(wrapped, "v", JSON_STR, &text, a) ? text : (struct str){0};
}

/* Go's truth: not false, 0, "" or empty. */
static bool holds(const struct step *s, struct str data, struct arena *a)
{
    static const char *const empty[] = {"", "false", "0", "\"\"", "{}", "[]"};
    if (s->test == TEST_EQUAL || s->test == TEST_NOT_EQUAL) {
        struct str v = shown(s, data, a);
        return str_eq(v, s->text) == (s->test == TEST_EQUAL);
    }
    struct str raw = raw_of(s, data, a);
    bool set = true;
    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++)
        set = set && !str_is(raw, empty[i]);
    return set == (s->test == TEST_SET);
}

/* html/template's htmlReplacementTable; also what could end a value without quotes. */
static void put_html(struct buf *b, struct str s, bool unquoted)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '&')
            BUF_LIT(b, "&amp;");
        else if (c == '<')
            BUF_LIT(b, "&lt;");
        else if (c == '>')
            BUF_LIT(b, "&gt;");
        else if (c == '"' || c == '\'' || c == '+'
                 || (unquoted && (c == '=' || c == '`' || isspace((unsigned char)c))))
            buf_printf(b, "&#%d;", c);
        else if (c == '\0')
            BUF_LIT(b, "\xef\xbf\xbd");
        else
            buf_char(b, c);
    }
}

static bool is_hex(struct str s, size_t i)
{
    return i < s.n && isxdigit((unsigned char)s.p[i]);
}

/* html/template's urlnormalizer and urlescaper: the second also escapes what has a meaning in a URL. */
static struct str url_safe(struct str s, bool query, struct arena *a)
{
    struct buf b;
    buf_init_arena(&b, a, 3 * s.n + 1);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool reserved = c && strchr("!#$&*+,/:;=?@[]", c);
        bool escaped = c == '%' && is_hex(s, i + 1) && is_hex(s, i + 2);
        if (isalnum(c) || (c && strchr("-._~", c)) || (!query && (reserved || escaped)))
            buf_char(&b, (char)c);
        else
            buf_printf(&b, "%%%02x", c);
    }
    return b.failed ? S("") : buf_view(&b);
}

/* A scheme that a click may have; javascript: and the like become what html/template makes of them. */
static struct str url_checked(struct str s)
{
    struct str scheme, rest;
    size_t at;
    bool has = str_cut(s, ':', &scheme, &rest) && !str_find_char(scheme, '/', &at);
    if (has && !str_eq_nocase(scheme, S("http")) && !str_eq_nocase(scheme, S("https"))
        && !str_eq_nocase(scheme, S("mailto")))
        return S("#ZgotmplZ");
    return s;
}

static void put_value(struct buf *b, enum place place, struct str v, struct arena *a)
{
    switch (place) {
    case PLACE_PLAIN:
        buf_str(b, v);
        break;
    case PLACE_TEXT:
    case PLACE_QUOTED:
    case PLACE_UNQUOTED:
        put_html(b, v, place == PLACE_UNQUOTED);
        break;
    case PLACE_URL:
    case PLACE_URL_PATH:
    case PLACE_URL_QUERY:
        if (place == PLACE_URL)
            v = url_checked(v);
        put_html(b, url_safe(v, place == PLACE_URL_QUERY, a), false);
        break;
    }
}

void template_render(const struct template *t, struct str data, struct arena *a, struct buf *out)
{
    for (unsigned i = 0; i < t->count;) {
        const struct step *s = &t->steps[i++];
        if (s->kind == STEP_TEXT)
            buf_str(out, s->text);
        else if (s->kind == STEP_VALUE)
            put_value(out, s->place, shown(s, data, a), a);
        else if (s->kind == STEP_JUMP || !holds(s, data, a))
            i = s->to;
    }
}
