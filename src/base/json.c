/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/json_tree.h"
#include "base/map.h"
#include "base/utf8.h"
#include "base/uuid.h"

enum { MAX_NAME_SHOWN = 40 /* bytes of a client's field name, in a message */ };

static bool too_large(struct err *e)
{
    return err_set(e, 413, "request_entity_too_large", "JSON is too large");
}

/* The tree's reader took it and the cursor below does not: what they disagree on is refused. */
static bool disputed(struct err *e)
{
    return err_set(e, 400, "bad_json", "Invalid JSON: invalid syntax");
}

bool json_valid(struct str text, struct err *e)
{
    return json_tree_check(text, false, e);
}

/* ---- A cursor over JSON text: finds values where they lie, as they were written -------------- */

/* Strict by itself, so that text which jansson never saw is at worst refused. */
struct cursor {
    const char *p, *end;
};

static void skip_space(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r'))
        c->p++;
}

static bool skip_char(struct cursor *c, char want)
{
    if (c->p == c->end || *c->p != want)
        return false;
    c->p++;
    return true;
}

static bool skip_digits(struct cursor *c)
{
    const char *from = c->p;
    while (c->p < c->end && *c->p >= '0' && *c->p <= '9')
        c->p++;
    return c->p > from;
}

static bool skip_number(struct cursor *c)
{
    skip_char(c, '-');
    if (!skip_char(c, '0') && !skip_digits(c))
        return false;
    if (skip_char(c, '.') && !skip_digits(c))
        return false;
    if (c->p < c->end && (*c->p | 0x20) == 'e') {
        c->p++;
        if (!skip_char(c, '+'))
            skip_char(c, '-');
        return skip_digits(c);
    }
    return true;
}

static bool skip_string(struct cursor *c)
{
    if (!skip_char(c, '"'))
        return false;
    while (c->p < c->end) {
        unsigned char ch = (unsigned char)*c->p++;
        if (ch == '"')
            return true;
        if (ch < 0x20)
            return false;
        if (ch == '\\' && c->p < c->end)
            c->p++;
    }
    return false;
}

static bool skip_word(struct cursor *c, struct str word)
{
    if (!str_starts(str_of(c->p, (size_t)(c->end - c->p)), word))
        return false;
    c->p += word.n;
    return true;
}

static bool skip_value(struct cursor *c, int depth);

/* The members of a container, the opening bracket already passed. */
static bool skip_members(struct cursor *c, char close, int depth)
{
    skip_space(c);
    if (skip_char(c, close))
        return true;
    do {
        skip_space(c);
        if (close == '}') {
            if (!skip_string(c))
                return false;
            skip_space(c);
            if (!skip_char(c, ':'))
                return false;
        }
        if (!skip_value(c, depth))
            return false;
        skip_space(c);
    } while (skip_char(c, ','));
    return skip_char(c, close);
}

static bool skip_value(struct cursor *c, int depth)
{
    skip_space(c);
    if (c->p == c->end)
        return false;
    switch (*c->p) {
    case '"':
        return skip_string(c);
    case '{':
    case '[': {
        char close = *c->p++ == '{' ? '}' : ']';
        return depth < JSON_TREE_DEPTH && skip_members(c, close, depth + 1);
    }
    case 't':
        return skip_word(c, S("true"));
    case 'f':
        return skip_word(c, S("false"));
    case 'n':
        return skip_word(c, S("null"));
    default:
        return skip_number(c);
    }
}

/*
 * Walks an object's members: key (as written, without its quotes) and value text. Start with the
 * cursor at the object's '{' or at a comma; *done is set behind its '}'. False: not well-formed.
 */
static bool next_member(struct cursor *c, struct str *key, struct str *value, bool *done)
{
    bool first = skip_char(c, '{');
    *done = false;
    skip_space(c);
    if (skip_char(c, '}')) {
        skip_space(c);
        *done = true;
        return c->p == c->end;
    }
    if (!first && !skip_char(c, ','))
        return false;
    skip_space(c);
    const char *from = c->p;
    if (!skip_string(c))
        return false;
    *key = str_of(from + 1, (size_t)(c->p - from) - 2);
    skip_space(c);
    if (!skip_char(c, ':'))
        return false;
    skip_space(c);
    from = c->p;
    if (!skip_value(c, 1))
        return false;
    *value = str_of(from, (size_t)(c->p - from));
    skip_space(c);
    return c->p == c->end || *c->p == ',' || *c->p == '}';
}

static struct cursor cursor_at(struct str object)
{
    struct cursor c = {object.p, object.p + object.n};
    skip_space(&c);
    return c;
}

/* ---- One value ---------------------------------------------------------------------------- */

enum found { FOUND, WRONG_TYPE, OVER_BOUND, NO_MEMORY };

/* What lies between a string's quotes, decoded. Escapes are rare and left to jansson. */
static enum found decode_string(struct str inner, struct arena *a, struct str *out)
{
    if (!memchr(inner.p, '\\', inner.n)) {
        *out = arena_str(a, inner);
        return out->p ? FOUND : NO_MEMORY;
    }
    struct str text;
    /* With its quotes, which lie around it in the source. */
    if (!json_tree_string(str_of(inner.p - 1, inner.n + 2), a, &text))
        return WRONG_TYPE;
    *out = text;
    return out->p ? FOUND : NO_MEMORY;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The text without the white space between its tokens; at most text.n bytes into out. */
static size_t compact(struct str text, char *out)
{
    size_t n = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (!in_string && is_space(c))
            continue;
        out[n++] = c;
        if (in_string && c == '\\' && i + 1 < text.n)
            out[n++] = text.p[++i];
        else if (c == '"')
            in_string = !in_string;
    }
    return n;
}

static enum found read_text(struct str value, size_t max, struct arena *a, struct str *out)
{
    char *p = arena_try(a, value.n + 1);
    if (!p)
        return NO_MEMORY;
    size_t n = compact(value, p);
    p[n] = '\0';
    if (max && n > max)
        return OVER_BOUND;
    *out = str_of(p, n);
    return FOUND;
}

static enum found read_string(struct str value, size_t max, struct arena *a, struct str *out)
{
    struct str text;
    if (value.p[0] != '"')
        return WRONG_TYPE;
    enum found found = decode_string(str_of(value.p + 1, value.n - 2), a, &text);
    if (found != FOUND)
        return found;
    if (max && text.n > max)
        return OVER_BOUND;
    *out = text;
    return FOUND;
}

static enum found read_uuid(struct str value, struct arena *a, struct str *out)
{
    struct str text;
    struct uuid u;
    enum found found = read_string(value, 0, a, &text);
    if (found != FOUND)
        return found;
    if (!uuid_parse(text, &u))
        return WRONG_TYPE;
    text = arena_str(a, uuid_str(&u));
    if (!text.p)
        return NO_MEMORY;
    *out = text;
    return FOUND;
}

static enum found read_i64(struct str value, size_t max, struct json_i64 *out)
{
    int64_t v = 0;
    if (!str_to_i64(value, &v))
        return WRONG_TYPE;
    if (max && v > 0 && (uint64_t)v > max)
        return OVER_BOUND;
    *out = (struct json_i64){true, v};
    return FOUND;
}

static enum found read_bool(struct str value, enum json_bool *out)
{
    if (value.p[0] != 't' && value.p[0] != 'f')
        return WRONG_TYPE;
    *out = value.p[0] == 't' ? JSON_TRUE : JSON_FALSE;
    return FOUND;
}

/* value is well-formed and not null. *out is of the type's own kind and untouched unless FOUND. */
static enum found read_value(struct str value, enum json_type type, size_t max, struct arena *a,
                             void *out)
{
    char c = value.p[0];
    switch (type) {
    case JSON_STR:
    case JSON_SECRET:
        return read_string(value, max, a, out);
    case JSON_UUID:
        return read_uuid(value, a, out);
    case JSON_I64:
        return read_i64(value, max, out);
    case JSON_BOOL:
        return read_bool(value, out);
    case JSON_OBJECT:
        return c == '{' ? read_text(value, max, a, out) : WRONG_TYPE;
    case JSON_ARRAY:
        return c == '[' ? read_text(value, max, a, out) : WRONG_TYPE;
    case JSON_NUMBER:
        return c == '-' || (c >= '0' && c <= '9') ? read_text(value, max, a, out) : WRONG_TYPE;
    case JSON_ANY:
        return read_text(value, max, a, out);
    }
    return WRONG_TYPE;
}

/* ---- Bodies ------------------------------------------------------------------------------- */

static bool field_error(const struct json_field *f, enum found found, struct err *e)
{
    static const char *const types[] = {
        [JSON_STR] = "a string",   [JSON_SECRET] = "a string", [JSON_UUID] = "a UUID",
        [JSON_I64] = "an integer", [JSON_BOOL] = "a boolean",  [JSON_OBJECT] = "an object",
        [JSON_ARRAY] = "an array", [JSON_ANY] = "a value",     [JSON_NUMBER] = "a number",
    };
    if (found == NO_MEMORY)
        return too_large(e);
    if (found == WRONG_TYPE)
        return err_set(e, 400, "validation_failed", "%s must be %s", f->name, types[f->type]);
    if (f->type == JSON_I64)
        return err_set(e, 400, "validation_failed", "%s must be at most %zu", f->name, f->max);
    return err_set(e, 400, "validation_failed", "%s must be at most %zu bytes long", f->name,
                   f->max);
}

static const struct json_field *field_named(const struct json_shape *shape, struct str name)
{
    for (size_t i = 0; i < shape->count; i++)
        if (str_is(name, shape->fields[i].name))
            return &shape->fields[i];
    return NULL;
}

static bool unknown_field(struct str name, struct err *e)
{
    size_t n = 0, step = 0;
    while ((step = utf8_next(name, n)) > 0 && n + step <= MAX_NAME_SHOWN)
        n += step;
    return err_set(e, 400, "validation_failed", "unknown field %.*s%s", (int)n, name.p,
                   n < name.n ? "…" : "");
}

static bool read_member(struct str key, struct str value, const struct json_shape *shape, void *out,
                        struct arena *a, struct err *e)
{
    struct str name = key;
    if (memchr(key.p, '\\', key.n)) {
        enum found found = decode_string(key, a, &name);
        if (found != FOUND)
            return too_large(e); /* it was parsed before: only memory can be missing */
    }
    const struct json_field *f = field_named(shape, name);
    if (!f)
        return !shape->closed || unknown_field(name, e);
    if (value.p[0] == 'n') /* null */
        return true;
    enum found found = read_value(value, f->type, f->max, a, (char *)out + f->offset);
    return found == FOUND || field_error(f, found, e);
}

static bool is_present(const struct json_field *f, const void *out)
{
    const void *at = (const char *)out + f->offset;
    switch (f->type) {
    case JSON_I64:
        return ((const struct json_i64 *)at)->present;
    case JSON_BOOL:
        return *(const enum json_bool *)at != JSON_ABSENT;
    case JSON_STR:
    case JSON_SECRET:
    case JSON_UUID:
    case JSON_OBJECT:
    case JSON_ARRAY:
    case JSON_ANY:
    case JSON_NUMBER:
        break;
    }
    return ((const struct str *)at)->p != NULL;
}

bool json_read(struct str body, const struct json_shape *shape, void *out, struct arena *a,
               struct err *e)
{
    if (!json_tree_check(body, true, e))
        return false;

    struct cursor c = cursor_at(body);
    struct str key, value;
    for (bool done = false;;) {
        if (!next_member(&c, &key, &value, &done))
            return disputed(e);
        if (done)
            break;
        if (!read_member(key, value, shape, out, a, e))
            return false;
    }
    for (size_t i = 0; i < shape->count; i++) {
        const struct json_field *f = &shape->fields[i];
        if ((f->flags & JSON_REQUIRED) && !is_present(f, out))
            return err_set(e, 400, "validation_failed", "%s is required", f->name);
    }
    return true;
}

/* A key as written against a name. */
static bool key_is(struct str key, struct str name, struct arena *a)
{
    if (!memchr(key.p, '\\', key.n))
        return str_eq(key, name);
    struct str decoded;
    return decode_string(key, a, &decoded) == FOUND && str_eq(decoded, name);
}

bool json_get(struct str object, const char *name, enum json_type type, void *out, struct arena *a)
{
    if (!object.p || !utf8_valid(object))
        return false;
    struct cursor c = cursor_at(object);
    struct str wanted = str_from(name), key, value, hit = {0};
    for (bool done = false;;) {
        if (c.p == c.end || !next_member(&c, &key, &value, &done))
            return false;
        if (done)
            break;
        if (!key_is(key, wanted, a))
            continue;
        if (hit.p) /* twice: readers would disagree which one counts */
            return false;
        hit = value;
    }
    return hit.p && hit.p[0] != 'n' && read_value(hit, type, 0, a, out) == FOUND;
}

bool json_next(struct str *rest, struct arena *a, struct str *name, struct str *value)
{
    if (!rest->p)
        return false;
    struct cursor c = cursor_at(*rest);
    struct str key;
    bool done;
    if (c.p == c.end || !next_member(&c, &key, value, &done) || done
        || decode_string(key, a, name) != FOUND)
        return false;
    *rest = str_of(c.p, (size_t)(c.end - c.p));
    return true;
}

/* ---- Merging ------------------------------------------------------------------------------ */

struct member {
    struct str key, name, value; /* as written without its quotes; decoded; as written */
    bool used;
    struct member *next;
};

/* An object's members in order, and by name when m is given. */
static bool list_members(struct str object, struct member **first, struct map *m, struct arena *a,
                         struct err *e)
{
    struct cursor c = cursor_at(object);
    struct str key, value;
    for (bool done = false;;) {
        if (!next_member(&c, &key, &value, &done))
            return disputed(e);
        if (done)
            return true;
        struct member *x = arena_try(a, sizeof(*x));
        if (!x)
            return too_large(e);
        *x = (struct member){.key = key, .name = key, .value = value};
        if (memchr(key.p, '\\', key.n) && decode_string(key, a, &x->name) != FOUND)
            return too_large(e);
        if (m)
            map_put(m, x->name, x);
        *first = x;
        first = &x->next;
    }
}

/* Key and value as they came in; the key's quotes lie around it in the source. */
static void put_member(struct buf *b, const struct member *key, const struct member *value)
{
    if (b->n > 1)
        buf_char(b, ',');
    buf_add(b, key->key.p - 1, key->key.n + 2);
    buf_char(b, ':');
    if (buf_reserve(b, value->value.n))
        b->n += compact(value->value, b->p + b->n);
}

static bool is_null(const struct member *x)
{
    return x->value.p[0] == 'n';
}

bool json_merge(struct str a, struct str b, struct arena *arena, struct str *out, struct err *e)
{
    CLEANUP(map_close) struct map updates = {0};
    struct member *present = NULL, *update = NULL;
    struct buf merged;
    if (!a.p)
        a = S("{}");
    if (!b.p)
        b = S("{}");
    if (!json_tree_check(a, true, e) || !json_tree_check(b, true, e)
        || !list_members(a, &present, NULL, arena, e)
        || !list_members(b, &update, &updates, arena, e))
        return false;

    buf_init_arena(&merged, arena, a.n + b.n);
    buf_char(&merged, '{');
    for (struct member *x = present; x; x = x->next) {
        struct member *u = map_get(&updates, x->name);
        if (u)
            u->used = true;
        if (!u || !is_null(u))
            put_member(&merged, x, u ? u : x);
    }
    for (const struct member *u = update; u; u = u->next)
        if (!u->used && !is_null(u))
            put_member(&merged, u, u);
    buf_char(&merged, '}');
    if (merged.failed)
        return too_large(e);
    *out = buf_view(&merged);
    return true;
}
