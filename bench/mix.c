/* SPDX-License-Identifier: Apache-2.0 */
#include "mix.h"

#include <ctype.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_MAX = 64 };

static void *must(void *p)
{
    if (!p)
        err(1, "memory");
    return p;
}

static char *file_text(const char *path)
{
    FILE *f = fopen(path, "re");
    if (!f)
        err(1, "%s", path);
    char *text = NULL;
    size_t size = 0;
    if (getdelim(&text, &size, '\0', f) < 0)
        errx(1, "%s is empty", path);
    fclose(f);
    return text;
}

/* Cuts the next line off *rest; NULL at the end. */
static char *line_of(char **rest)
{
    if (!*rest || !**rest)
        return NULL;
    char *line = *rest, *end = strchr(line, '\n');
    *rest = end ? end + 1 : NULL;
    if (end)
        *end = '\0';
    return line;
}

/* ---- clients ------------------------------------------------------------------------------- */

static unsigned column_add(struct mix *m, const char *name)
{
    if (m->column_count == MIX_COLUMNS_MAX)
        errx(1, "more than %d columns", MIX_COLUMNS_MAX);
    m->columns[m->column_count] = must(strdup(name));
    return m->column_count++;
}

static int column_find(const struct mix *m, const char *name, size_t n)
{
    for (unsigned i = 0; i < m->column_count; i++)
        if (strlen(m->columns[i]) == n && memcmp(m->columns[i], name, n) == 0)
            return (int)i;
    return -1;
}

static void client_read(struct mix *m, char *line, const char *path)
{
    struct mix_client *c = &m->clients[m->client_count];
    for (unsigned i = 0; i < m->column_count; i++) {
        char *value = strsep(&line, "\t");
        if (!value)
            errx(1, "%s:%zu: %u columns are named in line 1", path, m->client_count + 2,
                 m->column_count);
        c->values[i] = must(strdup(value));
    }
    m->client_count++;
}

void mix_read_clients(struct mix *m, const char *path)
{
    char *text = file_text(path), *rest = text, *names = line_of(&rest), *name;
    while (names && (name = strsep(&names, "\t")))
        column_add(m, name);
    size_t max = 0;
    for (char *line; (line = line_of(&rest)); client_read(m, line, path)) {
        if (m->client_count < max)
            continue;
        max = max ? 2 * max : 1024;
        m->clients = must(reallocarray(m->clients, max, sizeof(*m->clients)));
    }
    free(text);
    if (m->client_count == 0)
        errx(1, "%s has no clients", path);
}

static void row_put(FILE *f, char *const *values, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        fprintf(f, "%s%s", i ? "\t" : "", values[i]);
    putc('\n', f);
}

void mix_write_clients(const struct mix *m, const char *path, unsigned set)
{
    FILE *f = fopen(path, "we");
    if (!f)
        err(1, "%s", path);
    unsigned columns = m->column_count - set;
    row_put(f, m->columns, columns);
    for (size_t i = 0; i < m->client_count; i++)
        row_put(f, m->clients[i].values, columns);
    if (fclose(f) != 0)
        err(1, "%s", path);
}

void mix_set(struct mix *m, const char *assignment)
{
    const char *equals = strchr(assignment, '=');
    if (!equals)
        errx(1, "--set takes name=value, not \"%s\"", assignment);
    char *name = must(strndup(assignment, (size_t)(equals - assignment)));
    unsigned column = column_add(m, name);
    free(name);
    for (size_t i = 0; i < m->client_count; i++)
        m->clients[i].values[column] = must(strdup(equals + 1));
}

/* ---- kinds ----------------------------------------------------------------------------------- */

static void segment_add(struct mix_template *t, struct mix_segment s, const char *where)
{
    if (s.type == MIX_TEXT && s.n == 0)
        return;
    if (t->count == MIX_SEGMENTS_MAX)
        errx(1, "%s has more than %d parts", where, MIX_SEGMENTS_MAX);
    t->segments[t->count++] = s;
}

/* "{name}" with a name in small letters is a place to fill; other braces are JSON's. */
static size_t place_length(const char *p)
{
    size_t n = strspn(p + 1, "abcdefghijklmnopqrstuvwxyz_");
    return n > 0 && p[1 + n] == '}' ? n : 0;
}

static void template_add(struct mix *m, struct mix_template *t, const char *text, const char *where)
{
    const char *from = text;
    for (const char *p = strchr(text, '{'); p; p = strchr(p, '{')) {
        size_t n = place_length(p);
        if (n == 0) {
            p++;
            continue;
        }
        segment_add(t, (struct mix_segment){MIX_TEXT, from, (size_t)(p - from), 0}, where);
        bool number = n == 1 && p[1] == 'n';
        int column = number ? 0 : column_find(m, p + 1, n);
        if (column < 0)
            errx(1, "%s: there is no column \"%.*s\"", where, (int)n, p + 1);
        segment_add(
            t, (struct mix_segment){number ? MIX_NUMBER : MIX_COLUMN, NULL, 0, (unsigned)column},
            where);
        p = from = p + n + 2;
    }
    segment_add(t, (struct mix_segment){MIX_TEXT, from, strlen(from), 0}, where);
}

static void keep_add(struct mix *m, struct mix_kind *k, const char *what)
{
    const char *arrow = strchr(what, '>');
    int column = arrow ? column_find(m, arrow + 1, strlen(arrow + 1)) : -1;
    if (column < 0 || k->keep_count == MIX_KEEPS_MAX)
        errx(1, "[%s] keep=%s: member>column, of at most %d", k->name, what, MIX_KEEPS_MAX);
    struct mix_keep *keep = &k->keeps[k->keep_count++];
    keep->column = (unsigned)column;
    snprintf(keep->member, sizeof(keep->member), "\"%.*s\":\"", (int)(arrow - what), what);
}

/* [name] weight=N expect=STATUS keep=member>column */
static struct mix_kind *kind_begin(struct mix *m, char *line, const char *path)
{
    char *end = strchr(line, ']'), *options = end ? end + 1 : NULL, *word;
    if (!end || m->kind_count == MIX_KINDS_MAX)
        errx(1, "%s: \"%s\": [name] expected, of at most %d", path, line, MIX_KINDS_MAX);
    struct mix_kind *k = &m->kinds[m->kind_count++];
    snprintf(k->name, sizeof(k->name), "%.*s", (int)(end - line - 1), line + 1);
    k->weight = 1;
    while ((word = strsep(&options, " "))) {
        if (strncmp(word, "weight=", 7) == 0)
            k->weight = (unsigned)strtoul(word + 7, NULL, 10);
        else if (strncmp(word, "expect=", 7) == 0)
            k->expect = (int)strtol(word + 7, NULL, 10);
        else if (strncmp(word, "keep=", 5) == 0)
            keep_add(m, k, word + 5);
        else if (*word)
            errx(1, "%s: [%s] \"%s\": weight=, expect= or keep= expected", path, k->name, word);
    }
    m->weight_sum += k->weight;
    return k;
}

/* "GET /path" and the headers; Host and Content-Length are ours. */
static void head_line(struct mix *m, struct mix_kind *k, const char *line)
{
    char *text;
    const char *host = k->head.count == 0 ? " HTTP/1.1\r\nHost: " : "";
    if (asprintf(&text, "%s%s%s\r\n", line, host, *host ? m->host : "") < 0)
        err(1, "memory");
    template_add(m, &k->head, text, k->name); /* text stays: segments point into it */
}

void mix_read_kinds(struct mix *m, const char *path)
{
    char *rest = file_text(path);
    struct mix_kind *k = NULL;
    bool body = false;
    for (char *line; (line = line_of(&rest));) {
        if (line[0] == '#' && !body)
            continue;
        if (line[0] == '[') {
            k = kind_begin(m, line, path);
            body = false;
        } else if (k && line[0] == '\0') {
            body = k->head.count > 0;
        } else if (k && body) {
            template_add(m, &k->body, line, k->name);
        } else if (k) {
            head_line(m, k, line);
        }
    }
    if (m->weight_sum == 0)
        errx(1, "%s: no kind of request has a weight", path);
}

/* ---- one request ----------------------------------------------------------------------------- */

struct filling {
    const struct mix_client *client;
    char number[NUMBER_MAX];
};

static const char *segment_text(const struct mix_segment *s, const struct filling *f, size_t *n)
{
    const char *text = s->type == MIX_TEXT     ? s->text
                       : s->type == MIX_NUMBER ? f->number
                                               : f->client->values[s->column];
    *n = s->type == MIX_TEXT ? s->n : strlen(text);
    return text;
}

static size_t template_length(const struct mix_template *t, const struct filling *f)
{
    size_t sum = 0, n;
    for (unsigned i = 0; i < t->count; i++) {
        segment_text(&t->segments[i], f, &n);
        sum += n;
    }
    return sum;
}

static char *template_put(const struct mix_template *t, const struct filling *f, char *to)
{
    size_t n;
    for (unsigned i = 0; i < t->count; i++) {
        const char *text = segment_text(&t->segments[i], f, &n);
        memcpy(to, text, n);
        to += n;
    }
    return to;
}

size_t mix_render(struct mix *m, const struct mix_kind *k, size_t client, char *out, size_t max)
{
    struct filling f = {.client = &m->clients[client]};
    snprintf(f.number, sizeof(f.number), "%s%llu", m->prefix, (unsigned long long)++m->number);
    size_t body = template_length(&k->body, &f);
    if (template_length(&k->head, &f) + body + 64 > max)
        errx(1, "a request [%s] is longer than %zu bytes", k->name, max);
    char *end = template_put(&k->head, &f, out);
    if (body)
        end += snprintf(end, 48, "Content-Length: %zu\r\n", body);
    memcpy(end, "\r\n", 2);
    return (size_t)(template_put(&k->body, &f, end + 2) - out);
}

void mix_keep_from(struct mix *m, const struct mix_kind *k, size_t client, const char *body,
                   size_t n)
{
    for (unsigned i = 0; i < k->keep_count; i++) {
        const struct mix_keep *keep = &k->keeps[i];
        const char *at = memmem(body, n, keep->member, strlen(keep->member));
        if (!at)
            continue;
        at += strlen(keep->member);
        const char *end = memchr(at, '"', n - (size_t)(at - body));
        if (!end)
            continue;
        free(m->clients[client].values[keep->column]);
        m->clients[client].values[keep->column] = must(strndup(at, (size_t)(end - at)));
    }
}
