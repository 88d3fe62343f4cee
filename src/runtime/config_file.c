/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/config_file.h"

static bool refuse(const struct config_file *f, struct err *e, const char *why)
{
    return err_set(e, 2, "config", "%.60s line %d: %s", f->path, f->line, why);
}

void config_file_begin(struct config_file *f, const char *path, struct str bytes)
{
    if (str_starts(bytes, S("\xef\xbb\xbf")))
        bytes = str_from_at(bytes, 3);
    *f = (struct config_file){.path = path, .rest = bytes};
}

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return s.n > 0;
}

/* Shows the name as it would be right, where case and dashes are all that is wrong. */
static bool refuse_name(const struct config_file *f, struct str name, struct err *e)
{
    char right[64];
    size_t n = name.n < sizeof(right) ? name.n : 0;
    for (size_t i = 0; i < n; i++) {
        char c = name.p[i];
        right[i] = c == '-' ? '_' : c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
    }
    if (!is_name(str_of(right, n)))
        return refuse(f, e, "a name has lower-case letters, digits and \"_\" only");
    return err_set(e, 2, "config", "%.60s line %d: names are lower case; did you mean \"%.*s\"?",
                   f->path, f->line, (int)n, right);
}

/* A tab is the only control character that has a place in a line. */
static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
            return true;
    }
    return false;
}

/* Up to a '#' that begins the text or follows a space. */
static struct str without_comment(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '#' && (i == 0 || s.p[i - 1] == ' ' || s.p[i - 1] == '\t'))
            return str_trim(str_of(s.p, i));
    }
    return str_trim(s);
}

/* '\0' for a letter that is no escape. */
static char escaped(char c)
{
    static const char letters[] = "\"\\nt", meant[] = "\"\\\n\t";
    const char *at = c ? strchr(letters, c) : NULL;
    return at ? meant[at - letters] : '\0';
}

/* text begins with a quote; *out is what is between it and its end. */
static bool unquote(const struct config_file *f, struct str text, struct arena *a, struct str *out,
                    struct err *e)
{
    char quote = text.p[0], *p = arena_try(a, text.n);
    size_t n = 0, i = 1;
    if (!p)
        return refuse(f, e, "the settings are too large");
    for (; i < text.n && text.p[i] != quote; i++) {
        p[n] = text.p[i];
        if (quote == '"' && text.p[i] == '\\') {
            p[n] = i + 1 < text.n ? escaped(text.p[++i]) : '\0';
            if (p[n] == '\0')
                return refuse(f, e, "after a backslash, one of \" \\ n t is expected");
        }
        n++;
    }
    if (i == text.n)
        return refuse(f, e, "the closing quote is missing");
    if (without_comment(str_from_at(text, i + 1)).n > 0)
        return refuse(f, e, "nothing but a comment may follow the closing quote");
    *out = str_of(p, n);
    return true;
}

static bool parse_line(const struct config_file *f, struct str line, struct arena *a,
                       struct config_file_entry *out, struct err *e)
{
    struct str name, value;
    if (has_control(line))
        return refuse(f, e, "there is a control character");
    if (!str_cut(line, '=', &name, &value))
        return refuse(f, e, "\"name = value\" is expected");
    name = str_trim(name);
    value = str_trim(value);
    if (name.n == 0)
        return refuse(f, e, "the name before \"=\" is missing");
    if (!is_name(name))
        return refuse_name(f, name, e);
    bool quoted = value.n > 0 && (value.p[0] == '"' || value.p[0] == '\'');
    if (quoted && !unquote(f, value, a, &value, e))
        return false;
    if (!quoted)
        value = without_comment(value);
    *out = (struct config_file_entry){name, value, f->line};
    return true;
}

bool config_file_next(struct config_file *f, struct arena *a, struct config_file_entry *out,
                      struct err *e)
{
    while (f->rest.n > 0) {
        struct str line;
        str_cut(f->rest, '\n', &line, &f->rest);
        f->line++;
        if (str_ends(line, S("\r")))
            line.n--;
        line = str_trim(line);
        if (line.n > 0 && line.p[0] != '#')
            return parse_line(f, line, a, out, e);
    }
    *out = (struct config_file_entry){.line = f->line};
    return true;
}
