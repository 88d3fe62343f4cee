/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/config_value.h"

#include "base/clock.h"

enum { STATUS = 2 }; /* as config.h says */

static struct str show_scaled(struct arena *a, int64_t v, const int64_t *factors,
                              const char *const *units)
{
    while (v % *factors != 0 || (v == 0 && factors[1])) {
        factors++;
        units++;
    }
    return arena_printf(a, "%lld%s", (long long)(v / *factors), *units);
}

struct str config_value_show(enum config_type type, int64_t v, struct arena *a)
{
    static const int64_t time_factors[] = {3600 * CLOCK_S, 60 * CLOCK_S, CLOCK_S, CLOCK_MS, 1, 0};
    static const char *const time_units[] = {"h", "m", "s", "ms", "us"};
    static const int64_t size_factors[] = {1 << 30, 1 << 20, 1 << 10, 1, 0};
    static const char *const size_units[] = {"GiB", "MiB", "KiB", ""};
    if (type == CONFIG_DURATION)
        return v == 0 ? S("0s") : show_scaled(a, v, time_factors, time_units);
    if (type == CONFIG_SIZE)
        return show_scaled(a, v, size_factors, size_units);
    return arena_printf(a, "%lld", (long long)v);
}

struct str config_value_accepted(const struct config_row *row, struct arena *a)
{
    static const char *const what[] = {
        [CONFIG_INT] = "a whole number",
        [CONFIG_DURATION] = "a duration such as 250ms, 10s or 1h30m,",
        [CONFIG_SIZE] = "a size such as 4096, 64KiB or 10MiB,",
    };
    switch (row->type) {
    case CONFIG_BOOL:
        return S("true or false");
    case CONFIG_CHOICE:
        return arena_printf(a, "one of: %s", row->choices);
    case CONFIG_INT:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        if (row->max == 0)
            return arena_printf(a, "%s of at least %.*s", what[row->type],
                                STR_ARG(config_value_show(row->type, row->min, a)));
        return arena_printf(a, "%s from %.*s to %.*s", what[row->type],
                            STR_ARG(config_value_show(row->type, row->min, a)),
                            STR_ARG(config_value_show(row->type, row->max, a)));
    case CONFIG_STR:
    case CONFIG_SECRET:
    case CONFIG_LIST:
        break;
    }
    return S("a text");
}

static bool refuse(const struct config_row *row, const struct config_given *g, struct arena *a,
                   struct err *e)
{
    bool plain = row->type != CONFIG_SECRET;
    for (size_t i = 0; i < g->text.n; i++)
        plain = plain && (unsigned char)g->text.p[i] >= 0x20;
    struct str want = config_value_accepted(row, a);
    if (!plain)
        return err_set(e, STATUS, "config", "%s: %s must be %.*s", g->where, row->name,
                       STR_ARG(want));
    return err_set(e, STATUS, "config", "%s: %s must be %.*s, not \"%.*s\"", g->where, row->name,
                   STR_ARG(want), g->text.n < 40 ? (int)g->text.n : 40, g->text.p);
}

/* The row's own spelling of a word; NULL when it is not among the choices. */
static const char *choice_find(const struct config_row *row, struct str word, struct arena *a)
{
    struct str rest = str_from(row->choices), item;
    for (bool more = true; more;) {
        more = str_cut(rest, ' ', &item, &rest);
        if (str_eq_nocase(item, word))
            return arena_cstr(a, item);
    }
    return NULL;
}

static bool parse_number(const struct config_row *row, struct str text, int64_t *out)
{
    size_t size = 0;
    int64_t v = 0;
    bool ok = false;
    if (row->type == CONFIG_SIZE) {
        ok = str_to_size(text, &size) && size <= INT64_MAX;
        v = (int64_t)size;
    } else if (row->type == CONFIG_DURATION && str_to_i64(text, &v)) {
        ok = !__builtin_mul_overflow(v, CLOCK_S, &v);
    } else if (row->type == CONFIG_DURATION) {
        ok = str_to_duration_us(text, &v);
    } else {
        ok = str_to_i64(text, &v);
    }
    *out = v;
    return ok && v >= row->min && (row->max == 0 || v <= row->max);
}

bool config_value_parse(const struct config_row *row, const struct config_given *g, struct arena *a,
                        struct config_value *out, struct err *e)
{
    struct config_value v = {0};
    switch (row->type) {
    case CONFIG_STR:
    case CONFIG_SECRET:
    case CONFIG_LIST:
        if (g->text.n > 0 && memchr(g->text.p, '\0', g->text.n))
            return err_set(e, STATUS, "config", "%s: %s must hold no NUL", g->where, row->name);
        if (g->text.n > 0 && !(v.s = arena_cstr(a, g->text)))
            return err_set(e, STATUS, "config", "the settings are too large");
        break;
    case CONFIG_BOOL:
        if (!str_to_bool(g->text, &v.b))
            return refuse(row, g, a, e);
        break;
    case CONFIG_CHOICE:
        if (!(v.s = choice_find(row, g->text, a)))
            return refuse(row, g, a, e);
        break;
    case CONFIG_INT:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        if (!parse_number(row, g->text, &v.i))
            return refuse(row, g, a, e);
        break;
    }
    *out = v;
    return true;
}

bool config_value_same(const struct config_value *a, const struct config_value *b)
{
    return a->i == b->i && a->b == b->b && str_eq(str_from(a->s), str_from(b->s));
}

static void *member(const struct config_row *row, void *settings)
{
    return (char *)settings + row->offset;
}

void config_value_store(const struct config_row *row, const struct config_value *v, void *settings)
{
    if (row->type == CONFIG_BOOL)
        *(bool *)member(row, settings) = v->b;
    else if (row->type == CONFIG_INT || row->type == CONFIG_DURATION || row->type == CONFIG_SIZE)
        *(int64_t *)member(row, settings) = v->i;
    else
        *(const char **)member(row, settings) = v->s;
}
