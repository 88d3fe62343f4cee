/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/config.h"

#include <stdio.h>

#include "base/secret.h"
#include "runtime/config_file.h"
#include "runtime/config_value.h"
#include "runtime/file.h"
#include "runtime/suggest.h"

enum {
    STATUS = 2, /* the exit status of a wrong command line */
    NAME_MAX_BYTES = 128,
    FILE_MAX = 1024 * 1024,
    SECRET_FILE_MAX = 64 * 1024,
};

struct loader {
    const struct config_table *t;
    const struct config_input *in;
    struct arena *a;
    struct config_given *flags, *file; /* parallel to the rows */
    struct buf bytes;                  /* of the file, which may hold secrets: wiped */
};

/* ---- names ---- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

/* Lower case, '-' as '_'; cut at what no name of ours reaches. */
static struct str canonical(struct str name, char out[NAME_MAX_BYTES])
{
    size_t n = name.n < NAME_MAX_BYTES ? name.n : NAME_MAX_BYTES;
    for (size_t i = 0; i < n; i++)
        out[i] = name.p[i] == '-' ? '_' : lower(name.p[i]);
    return str_of(out, n);
}

/* The row of a name in canonical form, NULL when there is none. */
static const struct config_row *row_find(const struct config_table *t, struct str name)
{
    char mem[NAME_MAX_BYTES];
    for (size_t i = 0; i < t->count; i++) {
        if (str_eq(canonical(str_from(t->rows[i].name), mem), name))
            return &t->rows[i];
    }
    return NULL;
}

static size_t row_index(const struct config_table *t, const struct config_row *row)
{
    return (size_t)(row - t->rows);
}

static struct str spelled(struct arena *a, const char *prefix, struct str name, bool upper)
{
    struct str s = arena_printf(a, "%s%.*s", prefix, STR_ARG(name));
    char *p = arena_alloc(a, s.n + 1);
    for (size_t i = 0; i < s.n; i++) {
        char c = lower(s.p[i]);
        if (upper)
            p[i] = c == '-' ? '_' : c >= 'a' && c <= 'z' ? (char)(c + 'A' - 'a') : c;
        else
            p[i] = c == '_' ? '-' : c;
    }
    return str_of(p, s.n);
}

/* "--database-url" */
static struct str flag_name(struct arena *a, struct str name)
{
    return spelled(a, "--", name, false);
}

/* "BASALT_DATABASE_URL" */
static struct str env_name(struct loader *l, struct str name)
{
    return spelled(l->a, l->t->env_prefix, name, true);
}

/* The known name nearest to one in canonical form; p NULL when none is near. */
static struct str nearest(const struct config_table *t, struct str name)
{
    struct suggest s = suggest_begin(name);
    for (size_t i = 0; i < t->count; i++)
        suggest_offer(&s, str_from(t->rows[i].name));
    return s.best;
}

static void wipe(struct buf *b)
{
    if (b->p)
        secret_wipe_bytes(b->p, b->cap);
    buf_free(b);
}

static void loader_close(struct loader *l)
{
    wipe(&l->bytes);
}

static bool too_large(struct err *e)
{
    return err_set(e, STATUS, "config", "the settings are too large");
}

/* ---- flags ---- */

static bool unknown_flag(struct loader *l, struct str flag, struct str name, struct err *e)
{
    struct str near = nearest(l->t, name);
    if (!near.p)
        return err_set(e, STATUS, "config", "unknown flag %.*s", (int)(flag.n < 80 ? flag.n : 80),
                       flag.p);
    return err_set(e, STATUS, "config", "unknown flag %.*s; did you mean %.*s?",
                   (int)(flag.n < 60 ? flag.n : 60), flag.p, STR_ARG(flag_name(l->a, near)));
}

/* Words that can only be a boolean's value; "1" and "0" may be an argument. */
static bool bool_word(const char *word)
{
    bool b;
    return word && strlen(word) > 1 && str_to_bool(str_from(word), &b);
}

/* One flag, at argv[*i]; *i is then its last word. */
static bool take_flag(struct loader *l, int *i, struct err *e)
{
    char mem[NAME_MAX_BYTES];
    struct str flag, text, name;
    str_cut(str_from(l->in->argv[*i]), '=', &flag, &text);
    name = canonical(str_from_at(flag, 2), mem);
    const struct config_row *row = row_find(l->t, name);
    bool no = !row && str_starts(name, S("no_"));
    if (no)
        row = row_find(l->t, str_from_at(name, 3));
    if (!row || (no && row->type != CONFIG_BOOL))
        return unknown_flag(l, flag, no ? str_from_at(name, 3) : name, e);
    if (no && text.p)
        return err_set(e, STATUS, "config", "%.*s takes no value", (int)flag.n, flag.p);
    const char *next = *i + 1 < l->in->argc ? l->in->argv[*i + 1] : NULL;
    if (row->type == CONFIG_BOOL && !text.p && (no || !bool_word(next)))
        text = no ? S("false") : S("true");
    if (!text.p && (!next || str_starts(str_from(next), S("--"))))
        return err_set(e, STATUS, "config", "%.*s needs a value: %.*s", (int)flag.n, flag.p,
                       STR_ARG(config_value_accepted(row, l->a)));
    if (!text.p) {
        text = str_from(next);
        (*i)++;
    }
    l->flags[row_index(l->t, row)] = (struct config_given){
        text, CONFIG_FLAG, arena_printf(l->a, "flag %.*s", (int)flag.n, flag.p).p};
    return true;
}

static bool read_flags(struct loader *l, const char **rest, int *rest_n, struct err *e)
{
    int n = 0;
    bool flags = true;
    for (int i = 0; i < l->in->argc; i++) {
        const char *word = l->in->argv[i];
        if (flags && strcmp(word, "--") == 0)
            flags = false;
        else if (!flags || !str_starts(str_from(word), S("--")) || strcmp(word, "--help") == 0)
            rest[n++] = word;
        else if (!take_flag(l, &i, e))
            return false;
    }
    *rest_n = n;
    return true;
}

/* ---- the file ---- */

static bool take_entry(struct loader *l, const struct config_file_entry *entry, struct err *e)
{
    const struct config_row *row = row_find(l->t, entry->name);
    struct str near = row ? (struct str){0} : nearest(l->t, entry->name);
    int shown = (int)(entry->name.n < 60 ? entry->name.n : 60);
    if (!row && !near.p)
        return err_set(e, STATUS, "config", "%.60s line %d: unknown setting \"%.*s\"", l->in->file,
                       entry->line, shown, entry->name.p);
    if (!row)
        return err_set(e, STATUS, "config",
                       "%.60s line %d: unknown setting \"%.*s\"; did you mean \"%.*s\"?",
                       l->in->file, entry->line, shown, entry->name.p, STR_ARG(near));
    struct config_given *g = &l->file[row_index(l->t, row)];
    if (g->text.p)
        return err_set(e, STATUS, "config", "%.60s line %d: %s was already given (%s)", l->in->file,
                       entry->line, row->name, g->where);
    *g = (struct config_given){entry->value, CONFIG_FILE,
                               arena_printf(l->a, "%.60s line %d", l->in->file, entry->line).p};
    return true;
}

static bool read_file(struct loader *l, struct err *e)
{
    const struct config_input *in = l->in;
    struct str bytes = in->file_bytes;
    if (!in->file)
        return true;
    if (!bytes.p
        && !buf_reserve(&l->bytes, FILE_MAX)) /* at once, so that growing leaves no copies */
        return too_large(e);
    if (!bytes.p && !file_now_read(in->file, FILE_MAX, &l->bytes, e)) {
        if (e->status == 404 && !in->file_required) {
            err_clear(e);
            return true;
        }
        struct err why = *e;
        err_set(e, STATUS, "config", "%s", why.message);
        return err_detail(e, "%s", why.detail);
    }
    struct config_file f;
    struct config_file_entry entry;
    config_file_begin(&f, in->file, bytes.p ? bytes : buf_view(&l->bytes));
    for (;;) {
        if (!config_file_next(&f, l->a, &entry, e))
            return false;
        if (!entry.name.p)
            return true;
        if (!take_entry(l, &entry, e))
            return false;
    }
}

/* ---- the environment ---- */

/* Absent when not set, and when empty: that is how compose files and units leave a name out. */
static struct str env_get(char **env, struct str name)
{
    struct str key, text;
    for (; env && *env; env++) {
        if (str_cut(str_from(*env), '=', &key, &text) && str_eq(key, name))
            return text.n ? text : (struct str){0};
    }
    return (struct str){0};
}

static bool unknown_env(struct loader *l, struct str key, struct str name, struct err *e)
{
    struct str near = nearest(l->t, name);
    int shown = (int)(key.n < 70 ? key.n : 70);
    if (!near.p)
        return err_set(e, STATUS, "config", "unknown setting %.*s in the environment", shown,
                       key.p);
    return err_set(e, STATUS, "config",
                   "unknown setting %.*s in the environment; did you mean %.*s?", shown, key.p,
                   STR_ARG(env_name(l, near)));
}

/* A name with our prefix must be a setting, or a secret's with _FILE. */
static bool check_env_name(struct loader *l, struct str key, struct err *e)
{
    char mem[NAME_MAX_BYTES];
    struct str name = canonical(str_from_at(key, strlen(l->t->env_prefix)), mem);
    if (row_find(l->t, name))
        return true;
    if (!str_ends(name, S("_file")))
        return unknown_env(l, key, name, e);
    struct str base = str_of(name.p, name.n - strlen("_file"));
    const struct config_row *row = row_find(l->t, base);
    if (!row)
        return unknown_env(l, key, base, e);
    return row->type == CONFIG_SECRET
           || err_set(e, STATUS, "config", "%.*s: only secrets are read from files", (int)key.n,
                      key.p);
}

static bool check_env_names(struct loader *l, struct err *e)
{
    struct str prefix = str_from(l->t->env_prefix), key, text;
    for (char **env = l->in->env; env && *env; env++) {
        str_cut(str_from(*env), '=', &key, &text);
        if (str_starts(key, prefix) && !check_env_name(l, key, e))
            return false;
    }
    return true;
}

static bool read_secret(struct loader *l, struct str key, struct str path, struct str *out,
                        struct err *e)
{
    CLEANUP(wipe) struct buf b = {0};
    const char *name = arena_cstr(l->a, path);
    if (!name)
        return too_large(e);
    buf_init(&b, SECRET_FILE_MAX);
    if (!buf_reserve(&b, SECRET_FILE_MAX)) /* at once, as the file's */
        return too_large(e);
    if (!file_now_read(name, SECRET_FILE_MAX, &b, e)) {
        struct err why = *e;
        return err_set(e, STATUS, "config", "%.*s: %.100s", (int)key.n, key.p, why.message);
    }
    while (b.n > 0 && (b.p[b.n - 1] == '\n' || b.p[b.n - 1] == '\r'))
        b.n--;
    *out = arena_str(l->a, buf_view(&b));
    return out->p ? true : too_large(e);
}

/* What one name says, itself or as NAME_FILE; *out untouched when neither is set. */
static bool env_take(struct loader *l, const struct config_row *row, struct str name,
                     enum config_source source, struct config_given *out, struct config_value *v,
                     struct err *e)
{
    struct str keys[2] = {name, arena_printf(l->a, "%.*s_FILE", STR_ARG(name))};
    for (int i = 0; i < (row->type == CONFIG_SECRET ? 2 : 1); i++) {
        struct config_given g = {env_get(l->in->env, keys[i]), source,
                                 arena_printf(l->a, "environment %.*s", STR_ARG(keys[i])).p};
        struct config_value now = {0};
        if (!g.text.p)
            continue;
        if ((i == 1 && !read_secret(l, keys[1], g.text, &g.text, e))
            || !config_value_parse(row, &g, l->a, &now, e))
            return false;
        if (out->text.p && !config_value_same(v, &now))
            return err_set(e, STATUS, "config", "%s and %s give %s different values: keep one",
                           out->where, g.where, row->name);
        if (out->text.p)
            continue;
        *out = g;
        *v = now;
    }
    return true;
}

/* Our own name first, then the aliases in the row's order. */
static bool env_value(struct loader *l, const struct config_row *row, struct config_given *out,
                      struct config_value *v, struct err *e)
{
    struct str rest = str_from(row->aliases), alias;
    if (!env_take(l, row, env_name(l, str_from(row->name)), CONFIG_ENV, out, v, e))
        return false;
    while (rest.n > 0) {
        str_cut(rest, ' ', &alias, &rest);
        if (alias.n > 0 && !env_take(l, row, alias, CONFIG_ALIAS, out, v, e))
            return false;
    }
    return true;
}

/* ---- all of them ---- */

static bool row_value(struct loader *l, const struct config_row *row, struct config_value *v,
                      enum config_source *source, struct err *e)
{
    struct config_given fallback = {str_from(row->fallback), CONFIG_DEFAULT, "default"}, env = {0};
    const struct config_given *g = &l->flags[row_index(l->t, row)];
    if (!g->text.p) {
        if (!env_value(l, row, &env, v, e))
            return false;
        if (env.text.p) {
            *source = env.source;
            return true;
        }
        g = &l->file[row_index(l->t, row)];
    }
    if (!g->text.p)
        g = &fallback;
    *source = g->source;
    if (!g->text.p)
        return true; /* neither given nor with a default: zero */
    bool ok = config_value_parse(row, g, l->a, v, e);
    BUG(!ok && g == &fallback);
    return ok;
}

bool config_load(const struct config_table *t, const struct config_input *in, void *out,
                 enum config_source *sources, struct arena *a, const char **rest, int *rest_n,
                 struct err *e)
{
    CLEANUP(loader_close) struct loader l = {.t = t, .in = in, .a = a};
    l.flags = arena_new(a, struct config_given, t->count);
    l.file = arena_new(a, struct config_given, t->count);
    struct config_value *values = arena_new(a, struct config_value, t->count);
    enum config_source *from = arena_new(a, enum config_source, t->count);
    buf_init(&l.bytes, FILE_MAX);
    bool ok = read_flags(&l, rest, rest_n, e) && read_file(&l, e) && check_env_names(&l, e);
    for (size_t i = 0; ok && i < t->count; i++)
        ok = row_value(&l, &t->rows[i], &values[i], &from[i], e);
    if (!ok)
        return false;
    for (size_t i = 0; i < t->count; i++)
        config_value_store(&t->rows[i], &values[i], out);
    if (sources)
        memcpy(sources, from, t->count * sizeof(*from));
    return true;
}

/* ---- showing ---- */

struct str config_show(const struct config_row *row, const void *settings, struct arena *a)
{
    const void *at = (const char *)settings + row->offset;
    switch (row->type) {
    case CONFIG_BOOL:
        return *(const bool *)at ? S("true") : S("false");
    case CONFIG_INT:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        return config_value_show(row->type, *(const int64_t *)at, a);
    case CONFIG_SECRET:
        return *(const char *const *)at ? S("(secret)") : S("");
    case CONFIG_STR:
    case CONFIG_CHOICE:
    case CONFIG_LIST:
        break;
    }
    const char *text = *(const char *const *)at;
    return str_from(text ? text : "");
}

static const char *metavar(enum config_type type)
{
    static const char *const words[] = {
        [CONFIG_STR] = " TEXT",    [CONFIG_SECRET] = " SECRET", [CONFIG_BOOL] = "",
        [CONFIG_INT] = " N",       [CONFIG_DURATION] = " TIME", [CONFIG_SIZE] = " SIZE",
        [CONFIG_CHOICE] = " WORD", [CONFIG_LIST] = " LIST",
    };
    return words[type];
}

/* A row's help may be a phrase; what follows it is a sentence. */
static void full_stop(struct buf *b, const struct config_row *row)
{
    if (!str_ends(str_from(row->help), S(".")))
        buf_char(b, '.');
}

static void help_row(struct buf *b, const struct config_table *t, const struct config_row *row,
                     struct arena *a)
{
    struct str name = str_from(row->name);
    buf_printf(b, "  %.*s%s\n      %s", STR_ARG(flag_name(a, name)), metavar(row->type), row->help);
    full_stop(b, row);
    if (row->type == CONFIG_CHOICE)
        buf_printf(b, " One of: %s.", row->choices);
    if (row->fallback)
        buf_printf(b, " Default: %s.", row->fallback);
    buf_printf(b, "\n      %.*s", STR_ARG(spelled(a, t->env_prefix, name, true)));
    if (row->type == CONFIG_SECRET)
        BUF_LIT(b, " (or with _FILE)");
    if (row->aliases)
        buf_printf(b, "; also %s", row->aliases);
    buf_char(b, '\n');
}

/* A cell of a markdown table: a bar would end it. */
static void md_text(struct buf *b, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            buf_char(b, '\\');
        buf_char(b, *text);
    }
}

static void md_row(struct buf *b, const struct config_table *t, const struct config_row *row,
                   struct arena *a)
{
    struct str name = str_from(row->name), rest = str_from(row->aliases), alias;
    buf_printf(b, "| `%s` | `%.*s`", row->name, STR_ARG(spelled(a, t->env_prefix, name, true)));
    while (rest.n > 0) {
        str_cut(rest, ' ', &alias, &rest);
        if (alias.n > 0)
            buf_printf(b, ", `%.*s`", STR_ARG(alias));
    }
    buf_printf(b, row->fallback ? " | `%s` | " : " | %s | ",
               row->fallback ? row->fallback : "none");
    md_text(b, row->help);
    full_stop(b, row);
    if (row->type == CONFIG_INT || row->type == CONFIG_DURATION || row->type == CONFIG_SIZE
        || row->type == CONFIG_CHOICE) {
        BUF_LIT(b, " Accepted: ");
        buf_str(b, config_value_accepted(row, a));
        buf_char(b, '.');
    }
    BUF_LIT(b, " |\n");
}

static bool same_group(const struct config_row *a, const struct config_row *b)
{
    return strcmp(a->group, b->group) == 0;
}

static bool group_seen(const struct config_table *t, size_t i)
{
    for (size_t j = 0; j < i; j++) {
        if (same_group(&t->rows[j], &t->rows[i]))
            return true;
    }
    return false;
}

static void write_group(struct buf *b, const struct config_table *t, size_t first, bool md,
                        struct arena *a)
{
    if (md)
        buf_printf(b,
                   "### %s\n\n| setting | environment | default | meaning |\n|---|---|---|---|\n",
                   t->rows[first].group);
    else
        buf_printf(b, "%s:\n", t->rows[first].group);
    for (size_t i = first; i < t->count; i++) {
        if (same_group(&t->rows[i], &t->rows[first]))
            (md ? md_row : help_row)(b, t, &t->rows[i], a);
    }
    buf_char(b, '\n');
}

static void write_help(struct buf *b, const struct config_table *t, bool md)
{
    CLEANUP(arena_close) struct arena a;
    arena_init(&a, FILE_MAX);
    for (size_t i = 0; i < t->count; i++) {
        if (!group_seen(t, i))
            write_group(b, t, i, md, &a);
    }
}

void config_print_help(const struct config_table *t, bool md)
{
    CLEANUP(buf_free) struct buf b = {0};
    buf_init(&b, FILE_MAX);
    write_help(&b, t, md);
    fwrite(b.p, 1, b.n, stdout);
}
