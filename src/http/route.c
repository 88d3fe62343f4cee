/* SPDX-License-Identifier: Apache-2.0 */
#include "http/route.h"

#include "base/arena.h"
#include "http/req.h"

#include <stdlib.h>

/* One path segment. Siblings are few, so they are a list that is walked comparing lengths first. */
struct node {
    struct str segment;
    struct node *children, *next;
    struct node *param;                      /* "{id}" */
    const struct route *rows[METHOD_COUNT];  /* the path ends here */
    const struct route *rests[METHOD_COUNT]; /* "{rest...}" follows */
};

struct route_table {
    struct arena arena;
    struct node root;
};

/* ---- building ---- */

static struct node *literal_child(struct arena *a, struct node *parent, struct str segment)
{
    for (struct node *n = parent->children; n; n = n->next)
        if (str_eq(n->segment, segment))
            return n;
    struct node *made = arena_new(a, struct node, 1);
    made->segment = segment;
    made->next = parent->children;
    parent->children = made;
    return made;
}

static struct node *param_child(struct arena *a, struct node *parent)
{
    if (!parent->param)
        parent->param = arena_new(a, struct node, 1);
    return parent->param;
}

static bool is_placeholder(struct str segment)
{
    bool braces = str_starts(segment, S("{")) && str_ends(segment, S("}")) && segment.n > 2;
    BUG(!braces && memchr(segment.p, '{', segment.n) != NULL);
    return braces;
}

static void put(const struct route **rows, const struct route *row)
{
    BUG(rows[row->method] != NULL); /* two rows for one method and path */
    rows[row->method] = row;
}

static void add(struct route_table *t, const struct route *row)
{
    BUG(row->access == ACCESS_UNSET || !row->handler || !row->path || row->path[0] != '/');
    BUG(row->method <= METHOD_NONE || row->method >= METHOD_COUNT);
    struct node *n = &t->root;
    unsigned params = 0;
    struct str segment, rest = str_from(row->path + 1);
    for (bool more = true; more;) {
        more = str_cut(rest, '/', &segment, &rest);
        if (!is_placeholder(segment)) {
            n = literal_child(&t->arena, n, segment);
            continue;
        }
        BUG(++params > ROUTE_PARAMS_MAX);
        if (str_ends(segment, S("...}"))) {
            BUG(more); /* it takes the remainder: nothing can follow */
            put(n->rests, row);
            return;
        }
        n = param_child(&t->arena, n);
    }
    put(n->rows, row);
}

struct route_table *route_table_build(const struct route_list *lists, size_t count)
{
    struct route_table *t = calloc(1, sizeof(*t));
    BUG(!t);
    arena_init(&t->arena, 0);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < lists[i].count; j++)
            add(t, &lists[i].rows[j]);
    return t;
}

void route_table_free(struct route_table *t)
{
    if (!t)
        return;
    arena_close(&t->arena);
    free(t);
}

/* ---- finding ---- */

struct search {
    enum method method;
    struct str params[ROUTE_PARAMS_MAX];
    struct route_match *out;
};

static const struct route *pick(const struct route *const *rows, enum method m)
{
    return rows[m] || m != METHOD_HEAD ? rows[m] : rows[METHOD_GET];
}

/* A place where the path can end: the first that has the method wins, all add to the methods. */
static void offer(const struct route *const *rows, struct search *s)
{
    for (int m = METHOD_NONE + 1; m < METHOD_COUNT; m++)
        if (rows[m])
            s->out->methods |= 1U << m | (m == METHOD_GET ? 1U << METHOD_HEAD : 0);
    const struct route *row = pick(rows, s->method);
    if (!row || s->out->route)
        return;
    s->out->route = row;
    memcpy(s->out->params, s->params, sizeof(s->params));
}

/* path: behind the last '/', absent at its end. Literals come before parameters, so they win.
 * Recursion ends with the tree, which is as deep as the longest row. */
static void walk(const struct node *n, struct str path, unsigned params, struct search *s)
{
    if (!path.p) {
        offer(n->rows, s);
        return;
    }
    struct str segment, rest;
    str_cut(path, '/', &segment, &rest);
    for (const struct node *c = n->children; c; c = c->next)
        if (str_eq(c->segment, segment))
            walk(c, rest, params, s);
    if (params == ROUTE_PARAMS_MAX)
        return;
    if (n->param && segment.n > 0) {
        s->params[params] = segment;
        walk(n->param, rest, params + 1, s);
    }
    s->params[params] = path;
    offer(n->rests, s);
    s->params[params] = (struct str){0};
}

void route_find(const struct route_table *t, enum method m, struct str path,
                struct route_match *out)
{
    *out = (struct route_match){0};
    if (path.n == 0 || path.p[0] != '/')
        return;
    struct search s = {.method = m, .out = out};
    walk(&t->root, str_from_at(path, 1), 0, &s);
    out->path_known = out->methods != 0;
}

static const struct {
    struct str prefix;
    enum route_surface surface;
} surfaces[] = {
    {S_INIT("/auth/v1"), SURFACE_AUTH},
    {S_INIT("/rest/v1"), SURFACE_REST},
    {S_INIT("/storage/v1"), SURFACE_STORAGE},
    {S_INIT("/functions/v1"), SURFACE_FUNCTIONS},
    {S_INIT("/api"), SURFACE_APP},
    {S_INIT("/flutter-register"), SURFACE_APP}, /* two names of seed 003 have no prefix */
    {S_INIT("/flutter-login"), SURFACE_APP},
    {S_INIT("/metrics"), SURFACE_ADMIN},
    {S_INIT("/livez"), SURFACE_ADMIN},
    {S_INIT("/readyz"), SURFACE_ADMIN},
};

enum route_surface route_surface_of(struct str path)
{
    for (size_t i = 0; i < sizeof(surfaces) / sizeof(surfaces[0]); i++) {
        struct str p = surfaces[i].prefix;
        if (str_starts(path, p) && (path.n == p.n || path.p[p.n] == '/'))
            return surfaces[i].surface;
    }
    return SURFACE_NONE;
}
