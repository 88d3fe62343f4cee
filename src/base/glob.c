/* SPDX-License-Identifier: Apache-2.0 */
#include "base/glob.h"

enum { ALTERNATIVES_MAX = 256, BRACES_MAX = 16 /* in one pattern: each is 2 KiB of stack */ };

static bool is_separator(char c)
{
    return c == '.' || c == '/';
}

/* Bytes of the element at the front of p, 0 when it is malformed: "\x" is one, "[…]" is one. */
static size_t element(struct str p)
{
    if (p.p[0] == '\\')
        return p.n >= 2 ? 2 : 0;
    if (p.p[0] != '[')
        return 1;
    for (size_t i = 1; i < p.n; i++) {
        if (p.p[i] == '\\')
            i++;
        else if (p.p[i] == ']')
            return i > 1 ? i + 1 : 0;
    }
    return 0;
}

/* One character of a class at *i, past its escape. */
static char class_char(struct str in, size_t *i)
{
    if (in.p[*i] == '\\' && *i + 1 < in.n)
        (*i)++;
    return in.p[(*i)++];
}

/* in: between the brackets. */
static bool in_class(struct str in, char c)
{
    bool negated = in.n > 0 && in.p[0] == '!', found = false;
    for (size_t i = negated; i < in.n;) {
        unsigned char from = (unsigned char)class_char(in, &i), to = from;
        if (i + 1 < in.n && in.p[i] == '-') {
            i++;
            to = (unsigned char)class_char(in, &i);
        }
        found = found || ((unsigned char)c >= from && (unsigned char)c <= to);
    }
    return found != negated;
}

static bool fits(struct str element, char c)
{
    if (element.n == 1)
        return element.p[0] == '?' ? !is_separator(c) : element.p[0] == c;
    if (element.p[0] == '\\')
        return element.p[1] == c;
    return in_class(str_of(element.p + 1, element.n - 2), c);
}

/* A set of places in the text that the pattern so far can have reached. */
struct reached {
    bool at[GLOB_TEXT_MAX + 1];
};

static void step_star(struct reached *r, struct str text, bool crosses)
{
    for (size_t i = 0; i < text.n; i++)
        if (r->at[i] && (crosses || !is_separator(text.p[i])))
            r->at[i + 1] = true;
}

static void step_one(struct reached *r, struct str text, struct str element)
{
    for (size_t i = text.n; i > 0; i--)
        r->at[i] = r->at[i - 1] && fits(element, text.p[i - 1]);
    r->at[0] = false;
}

/* Without braces: every alternative has been chosen. */
static bool match_plain(struct str pattern, struct str text)
{
    struct reached r = {0};
    r.at[0] = true;
    while (pattern.n > 0) {
        size_t n = element(pattern);
        bool two = str_starts(pattern, S("**"));
        if (n == 0)
            return false;
        if (pattern.p[0] == '*')
            step_star(&r, text, two);
        else
            step_one(&r, text, str_of(pattern.p, n));
        pattern = str_from_at(pattern, two ? 2 : n);
    }
    return r.at[text.n];
}

/* The first "{…}" and what it holds; false when there is none. *bad: it does not end. */
static bool braces_find(struct str p, size_t *open, size_t *close, bool *bad)
{
    int depth = 0;
    *bad = false;
    for (size_t i = 0; i < p.n;) {
        size_t n = element(str_from_at(p, i));
        if (n == 0)
            break;
        if (n == 1 && p.p[i] == '{' && depth++ == 0)
            *open = i;
        if (n == 1 && p.p[i] == '}' && depth > 0 && --depth == 0) {
            *close = i;
            return true;
        }
        i += n;
    }
    *bad = depth > 0;
    return false;
}

/* The alternative at the front of *rest, up to a comma that is in no inner brace. */
static struct str alternative(struct str *rest, bool *more)
{
    int depth = 0;
    for (size_t i = 0; i < rest->n;) {
        size_t n = element(str_from_at(*rest, i));
        char c = n == 1 ? rest->p[i] : '\0';
        depth += (c == '{') - (c == '}');
        if (c == ',' && depth == 0) {
            struct str head = str_of(rest->p, i);
            *rest = str_from_at(*rest, i + 1);
            return head;
        }
        i += n ? n : 1;
    }
    *more = false;
    return *rest;
}

static bool match(struct str pattern, struct str text, int depth, int *left)
{
    size_t open = 0, close = 0;
    bool bad;
    char chosen[GLOB_PATTERN_MAX];
    if (depth > BRACES_MAX || --*left < 0)
        return false;
    if (!braces_find(pattern, &open, &close, &bad))
        return !bad && match_plain(pattern, text);
    struct str inside = str_of(pattern.p + open + 1, close - open - 1);
    struct str tail = str_from_at(pattern, close + 1);
    for (bool more = true; more;) {
        struct str one = alternative(&inside, &more);
        memcpy(chosen, pattern.p, open);
        memcpy(chosen + open, one.p, one.n);
        memcpy(chosen + open + one.n, tail.p, tail.n);
        if (match(str_of(chosen, open + one.n + tail.n), text, depth + 1, left))
            return true;
    }
    return false;
}

bool glob_match(struct str pattern, struct str text)
{
    int left = ALTERNATIVES_MAX;
    return pattern.n <= GLOB_PATTERN_MAX && text.n <= GLOB_TEXT_MAX
           && match(pattern, text, 0, &left);
}
