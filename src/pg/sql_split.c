/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/sql_split.h"

enum token { TOKEN_END, TOKEN_BLANK, TOKEN_WORD, TOKEN_CHAR, TOKEN_OTHER };

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_word_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char byte(struct str s, size_t at)
{
    return at < s.n ? s.p[at] : '\0';
}

/* Behind the end of each kind of token; the end of the script where it is not closed. */

static size_t after_line(struct str s, size_t at)
{
    while (at < s.n && s.p[at] != '\n')
        at++;
    return at;
}

static size_t after_comment(struct str s, size_t at)
{
    for (unsigned depth = 0; at < s.n;) {
        char c = byte(s, at), next = byte(s, at + 1);
        if (c == '/' && next == '*') {
            depth++;
            at += 2;
        } else if (c == '*' && next == '/') {
            at += 2;
            if (--depth == 0)
                return at;
        } else {
            at++;
        }
    }
    return s.n;
}

/* at: the opening quote; a doubled one stays inside by being two strings in a row. */
static size_t after_quote(struct str s, size_t at, bool backslashes)
{
    char quote = s.p[at++];
    while (at < s.n && s.p[at] != quote)
        at += backslashes && s.p[at] == '\\' ? 2 : 1;
    return at < s.n ? at + 1 : s.n;
}

/* An escape string must not be left at its doubled quote: what follows still has backslashes. */
static size_t after_escape_string(struct str s, size_t at)
{
    do
        at = after_quote(s, at, true);
    while (byte(s, at) == '\'' && byte(s, at - 1) == '\'');
    return at;
}

static size_t after_word(struct str s, size_t at)
{
    while (at < s.n && (is_word_start(s.p[at]) || is_digit(s.p[at]) || s.p[at] == '$'))
        at++;
    return at;
}

/* $$…$$ or $tag$…$tag$; at + 1 when it is no dollar quote. */
static size_t after_dollar(struct str s, size_t at)
{
    size_t n = at + 1;
    while (n < s.n && (is_word_start(s.p[n]) || (n > at + 1 && is_digit(s.p[n]))))
        n++;
    if (byte(s, n) != '$')
        return at + 1;
    struct str tag = str_of(s.p + at, n + 1 - at), rest = str_from_at(s, n + 1);
    size_t end;
    return str_find(rest, tag, &end) ? n + 1 + end + tag.n : s.n;
}

static enum token next_token(struct str s, size_t at, size_t *end)
{
    char c = byte(s, at), next = byte(s, at + 1);
    enum token kind = TOKEN_OTHER;
    *end = at + 1;
    if (at >= s.n)
        return TOKEN_END;
    if (is_blank(c) || (c == '-' && next == '-') || (c == '/' && next == '*')) {
        kind = TOKEN_BLANK;
        *end = c == '-' ? after_line(s, at) : c == '/' ? after_comment(s, at) : at + 1;
    } else if (is_word_start(c)) {
        *end = after_word(s, at);
        bool escape = *end == at + 1 && (c == 'e' || c == 'E') && next == '\'';
        kind = escape ? TOKEN_OTHER : TOKEN_WORD;
        *end = escape ? after_escape_string(s, *end) : *end;
    } else if (is_digit(c)) {
        *end = after_word(s, at);
    } else if (c == '\'' || c == '"') {
        *end = after_quote(s, at, false);
    } else if (c == '$') {
        *end = after_dollar(s, at);
    } else {
        kind = TOKEN_CHAR;
    }
    return kind;
}

/* ---- statements ---- */

/* How deep the scan is, and whether BEGIN opens a routine's body: CREATE [OR REPLACE] FUNCTION …. */
struct depth {
    unsigned parens, blocks, words;
    bool create, routine;
};

static bool is(struct str word, const char *keyword)
{
    return str_eq_nocase(word, str_from(keyword));
}

static void take_word(struct depth *d, struct str word)
{
    unsigned n = d->words++;
    if (n == 0)
        d->create = is(word, "create");
    if (d->create && (n == 1 || n == 3) && (is(word, "function") || is(word, "procedure")))
        d->routine = true;
    if (!d->routine || d->parens)
        return;
    if (is(word, "begin") || (d->blocks && is(word, "case")))
        d->blocks++;
    else if (d->blocks && is(word, "end"))
        d->blocks--;
}

static void take_char(struct depth *d, char c)
{
    if (c == '(')
        d->parens++;
    else if (c == ')' && d->parens)
        d->parens--;
}

static size_t skip_blanks(struct str s, size_t at)
{
    size_t end;
    while (next_token(s, at, &end) == TOKEN_BLANK)
        at = end;
    return at;
}

/* The semicolon that ends the statement that begins at `at`, or the end of the script; *text_end:
 * behind its last token that is not blank. */
static size_t statement_end(struct str s, size_t at, size_t *text_end)
{
    struct depth d = {0};
    size_t end;
    *text_end = at;
    for (enum token kind; (kind = next_token(s, at, &end)) != TOKEN_END; at = end) {
        if (kind == TOKEN_CHAR && s.p[at] == ';' && !d.parens && !d.blocks)
            return at;
        if (kind == TOKEN_CHAR)
            take_char(&d, s.p[at]);
        else if (kind == TOKEN_WORD)
            take_word(&d, str_of(s.p + at, end - at));
        if (kind != TOKEN_BLANK)
            *text_end = end;
    }
    return s.n;
}

bool sql_split_next(struct sql_split *s, struct str *statement)
{
    while (s->at < s->script.n) {
        size_t from = skip_blanks(s->script, s->at), text_end;
        size_t end = statement_end(s->script, from, &text_end);
        s->at = end + 1;
        if (text_end > from) {
            *statement = str_of(s->script.p + from, text_end - from);
            return true;
        }
    }
    return false;
}

struct str sql_split_word(struct str statement, unsigned n)
{
    size_t at = 0, end;
    for (enum token kind; (kind = next_token(statement, at, &end)) != TOKEN_END; at = end) {
        if (kind == TOKEN_BLANK)
            continue;
        if (kind != TOKEN_WORD)
            break;
        if (n-- == 0)
            return str_of(statement.p + at, end - at);
    }
    return S("");
}
