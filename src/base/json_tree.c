/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_tree.h"

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/rand.h"

enum {
    /* "[],[],…" takes seventy times its size as a tree: a bound on what one parse may hold. */
    PARSE_BUDGET = 32 << 20
};

struct chunk {             /* in front of each piece */
    _Alignas(16) size_t n; /* of both */
};

static _Thread_local size_t parse_left = PARSE_BUDGET;
static _Thread_local bool parse_refused; /* jansson words this as any other error */
static pthread_once_t jansson_ready = PTHREAD_ONCE_INIT;

static void *chunk_alloc(size_t n)
{
    struct chunk *c = NULL;
    if (parse_left > sizeof(*c) && n <= parse_left - sizeof(*c))
        c = malloc(n += sizeof(*c));
    if (!c) {
        parse_refused = true;
        return NULL;
    }
    c->n = n;
    parse_left -= n;
    return c + 1;
}

/* A tree may hold passwords and tokens, and nobody knows where: all of it is wiped. */
static void chunk_free(void *p)
{
    if (!p)
        return;
    struct chunk *c = (struct chunk *)p - 1;
    parse_left += c->n;
    explicit_bzero(c, c->n);
    free(c);
}

static void jansson_setup(void)
{
    json_set_alloc_funcs(chunk_alloc, chunk_free);
    json_object_seed((size_t)rand_u64() | 1); /* 0 would make jansson open a file for its own */
}

static void tree_free(json_t **tree)
{
    json_decref(*tree);
}

/* Containers open at once, in one pass that knows only strings: it runs before anything recurses. */
static size_t depth_of(struct str text)
{
    size_t depth = 0, deepest = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (in_string) {
            i += c == '\\';
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            deepest = ++depth > deepest ? depth : deepest;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return deepest;
}

/* Never what was found, which would repeat the body. */
static const char *reason(enum json_error_code code)
{
    static const struct {
        enum json_error_code code;
        const char *text;
    } reasons[] = {
        {json_error_duplicate_key, "duplicate key"},
        {json_error_invalid_utf8, "invalid UTF-8"},
        {json_error_null_character, "NUL character"},
        {json_error_null_byte_in_key, "NUL character"},
        {json_error_premature_end_of_input, "unexpected end"},
        {json_error_end_of_input_expected, "text after the end"},
        {json_error_numeric_overflow, "number out of range"},
    };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].code == code)
            return reasons[i].text;
    return "invalid syntax";
}

/* The one door to jansson. Numbers become reals, since their text is read from the source. */
static bool tree_load(struct str text, json_t **out, struct err *e)
{
    json_error_t je;
    if (text.n && memchr(text.p, '\0', text.n)) /* jansson takes one behind a literal for the end */
        return err_set(e, 400, "bad_json", "Invalid JSON: NUL character");
    if (depth_of(text) > JSON_TREE_DEPTH)
        return err_set(e, 400, "bad_json", "Invalid JSON: nested deeper than %d", JSON_TREE_DEPTH);
    /* jansson 2.14 passes over a NUL behind a number or a word. */
    if (text.n > 0 && memchr(text.p, '\0', text.n))
        return err_set(e, 400, "bad_json", "Invalid JSON: NUL character");
    pthread_once(&jansson_ready, jansson_setup);
    parse_refused = false;
    json_t *tree =
        json_loadb(text.p ? text.p : "", text.n,
                   JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &je);
    if (tree) {
        *out = tree;
        return true;
    }
    if (parse_refused)
        return err_set(e, 413, "request_entity_too_large", "JSON is too large");
    return err_set(e, 400, "bad_json", "Invalid JSON: %s at byte %d", reason(json_error_code(&je)),
                   je.position);
}

bool json_tree_check(struct str text, bool object, struct err *e)
{
    CLEANUP(tree_free) json_t *tree = NULL;
    if (!tree_load(text, &tree, e))
        return false;
    return !object || json_is_object(tree)
           || err_set(e, 400, "bad_json", "Invalid JSON: not an object");
}

bool json_tree_string(struct str text, struct arena *a, struct str *out)
{
    CLEANUP(tree_free) json_t *tree = NULL;
    struct err ignored = {0};
    if (!tree_load(text, &tree, &ignored) || !json_is_string(tree))
        return false;
    *out = arena_str(a, str_of(json_string_value(tree), json_string_length(tree)));
    return true;
}
