/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/pg_conn.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "ops/metrics.h"
#include "pg/pg_error.h"

enum {
    NAME_SIZE = 16,
    READS_BEFORE_WATCHING = 16, /* some MiB: ordinary answers pay nothing for the bound */
    READS_PER_LOOK = 8,
};

struct pg_prepared {
    struct {
        const struct pg_sql *sql;
        uint64_t role;
    } key;
    struct list link;     /* recent or doomed */
    char name[NAME_SIZE]; /* "b17", a number never used again on this connection */
    bool ready;           /* the server has it */
    bool queued;          /* its DEALLOCATE is on the way */
};

/* ---- prepared statements ----------------------------------------------------------------- */

static struct str key_of(const struct pg_prepared *p)
{
    return str_of((const char *)&p->key, sizeof p->key);
}

static void entry_free(struct pg_conn *c, struct pg_prepared *p)
{
    if (map_get(&c->prepared, key_of(p)) == p) {
        map_remove(&c->prepared, key_of(p));
        c->prepared_count--;
    }
    list_remove(&p->link);
    free(p);
}

static void entry_doom(struct pg_conn *c, struct pg_prepared *p)
{
    map_remove(&c->prepared, key_of(p));
    c->prepared_count--;
    list_remove(&p->link);
    p->queued = false;
    list_push_back(&c->doomed, &p->link);
}

void pg_conn_forget(struct pg_conn *c)
{
    struct list *lists[] = {&c->recent, &c->doomed};
    for (unsigned i = 0; i < 2; i++)
        while (!list_empty(lists[i]))
            entry_free(c, LIST_ENTRY(lists[i]->next, struct pg_prepared, link));
}

/* ---- opening and closing ----------------------------------------------------------------- */

static void on_ready(void *ctx, int ready);

bool pg_conn_attach(struct pg_conn *c, PGconn *pg, bool prepare, void (*on_end)(struct pg_conn *))
{
    if (PQsetnonblocking(pg, 1) != 0 || !PQenterPipelineMode(pg)) {
        PQfinish(pg);
        return false;
    }
    *c = (struct pg_conn){.pg = pg, .on_end = on_end, .prepare = prepare};
    map_init(&c->prepared);
    list_init(&c->recent);
    list_init(&c->doomed);
    c->watch = fdwatch_open(PQsocket(pg), on_ready, c);
    fdwatch_set(c->watch, FDWATCH_READ);
    return true;
}

void pg_conn_close_late(struct pg_conn *c)
{
    if (!c->pg)
        return;
    pg_conn_drop_results(c);
    pg_conn_forget(c);
    map_close(&c->prepared);
    PQfinish(c->pg);
    fdwatch_free(c->watch);
    c->pg = NULL;
    c->watch = NULL;
    c->busy = false;
}

void pg_conn_close(struct pg_conn *c)
{
    if (c->watch)
        fdwatch_close(c->watch);
    c->watch = NULL;
    pg_conn_close_late(c);
}

char pg_conn_transaction(const struct pg_conn *c)
{
    if (c->pg && !c->lost)
        switch (PQtransactionStatus(c->pg)) {
        case PQTRANS_IDLE:
            return 'I';
        case PQTRANS_INTRANS:
            return 'T';
        case PQTRANS_INERROR:
            return 'E';
        case PQTRANS_ACTIVE:
        case PQTRANS_UNKNOWN:
            break;
        }
    return '?';
}

/* ---- results ----------------------------------------------------------------------------- */

void pg_conn_drop_results(struct pg_conn *c)
{
    for (unsigned i = 0; i < c->item_count; i++) {
        PQclear(c->results[i]);
        c->results[i] = NULL;
    }
    PQclear(c->error);
    c->error = NULL;
    c->result_bytes = 0;
}

PGresult *pg_conn_take(struct pg_conn *c, unsigned i)
{
    PGresult *r = c->results[i];
    c->results[i] = NULL;
    return r;
}

/* What a statement left behind in the cache, once its flush is over. */
static void settle_prepared(struct pg_conn *c)
{
    for (unsigned i = 0; i < c->op_count; i++) {
        struct pg_prepared *p = c->ops[i].entry;
        if (c->ops[i].kind == PG_CONN_PREPARE && !p->ready)
            entry_free(c, p);
        else if (c->ops[i].kind == PG_CONN_DEALLOCATE && p)
            p->queued = false; /* skipped in a failed flush: the next one takes it along */
    }
}

/* Where nobody listens an app's function may still have asked for them. */
static void give_notifications(struct pg_conn *c)
{
    for (PGnotify *n; (n = PQnotifies(c->pg));) {
        if (c->on_notify)
            c->on_notify(c, n);
        PQfreemem(n);
    }
}

static void end(struct pg_conn *c)
{
    settle_prepared(c);
    c->complete = c->complete && !c->too_large;
    c->busy = false;
    c->op_count = 0;
    if (!c->lost)
        give_notifications(c);
    c->on_end(c);
}

static void keep(struct pg_conn *c, struct pg_conn_op *op, PGresult *r)
{
    if (op->kind == PG_CONN_EXECUTE && !c->results[op->item]) {
        c->result_bytes += PQresultMemorySize(r);
        c->results[op->item] = r;
        return;
    }
    if (op->kind == PG_CONN_PREPARE)
        op->entry->ready = true;
    if (op->kind == PG_CONN_DEALLOCATE) {
        entry_free(c, op->entry);
        op->entry = NULL;
    }
    PQclear(r);
}

static void keep_error(struct pg_conn *c, const struct pg_conn_op *op, PGresult *r)
{
    if (!PQresultErrorField(r, PG_DIAG_SQLSTATE))
        c->lost = true; /* libpq's own words */
    if (c->error) {
        PQclear(r);
        return;
    }
    c->error = r;
    c->error_item = (int)op->item;
}

static void next_op(struct pg_conn *c)
{
    if (!c->op_answered) {
        c->lost = true; /* libpq has nothing more to say although the Sync is missing */
        return;
    }
    c->op_answered = false;
    c->op_at++;
}

static void take(struct pg_conn *c, PGresult *r)
{
    struct pg_conn_op *op = &c->ops[c->op_at];
    c->op_answered = true;
    switch ((int)PQresultStatus(r)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_EMPTY_QUERY:
        keep(c, op, r);
        break;
    case PGRES_PIPELINE_SYNC:
        c->op_at = c->op_count;
        c->complete = true;
        PQclear(r);
        break;
    case PGRES_PIPELINE_ABORTED:
        PQclear(r);
        break;
    default: /* an error, or a COPY, which cannot be in a pipeline */
        keep_error(c, op, r);
    }
}

static void collect(struct pg_conn *c)
{
    bool more = true;
    while (more && c->op_at < c->op_count && !PQisBusy(c->pg)) {
        PGresult *r = PQgetResult(c->pg);
        if (r)
            take(c, r);
        else
            next_op(c);
        more = r || !c->lost;
    }
    if (c->result_bytes > PG_CONN_RESULT_BYTES_MAX)
        c->too_large = c->lost = true;
}

/* ---- input and output -------------------------------------------------------------------- */

/* The second number of /proc/self/statm is the resident pages (proc(5)). No disk, about 3 µs. */
static size_t resident_bytes(void)
{
    char text[64];
    uint64_t pages = 0;
    struct str s;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return 0;
    s = str_of(text, (size_t)n);
    str_cut(s, ' ', &(struct str){0}, &s);
    str_cut(s, ' ', &s, &(struct str){0});
    return str_to_u64(s, &pages) ? pages * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

/*
 * libpq gathers a whole result before it gives any of it and does not say how much it has, nor can
 * the kernel's queue be counted (one read of libpq's took 0.8 MiB on average). So a long answer is
 * stopped when the process has grown by more than the bound since it began; an ordinary one never gets here.
 */
static void watch_growth(struct pg_conn *c)
{
    if (c->reads++ < READS_BEFORE_WATCHING || c->reads % READS_PER_LOOK != 0)
        return;
    size_t now = resident_bytes();
    if (c->resident_bytes == 0)
        c->resident_bytes = now;
    if (now > c->resident_bytes + PG_CONN_RESULT_BYTES_MAX)
        c->too_large = c->lost = true;
}

/*
 * libpq closes its socket by itself when the server has hung up, and the number may be another
 * connection's before this loop turn is over: the watch must go at once.
 */
static bool socket_gone(struct pg_conn *c)
{
    if (PQsocket(c->pg) >= 0)
        return false;
    fdwatch_abandon(c->watch);
    c->watch = NULL;
    return true;
}

static void write_out(struct pg_conn *c)
{
    /* < 0: what the server said before it hung up may still be there to read */
    c->writing = PQflush(c->pg) > 0;
    if (!socket_gone(c))
        fdwatch_set(c->watch, c->writing ? FDWATCH_READ | FDWATCH_WRITE : FDWATCH_READ);
}

static void on_ready(void *ctx, int ready)
{
    struct pg_conn *c = ctx;
    if (c->writing && (ready & FDWATCH_WRITE))
        write_out(c);
    if (!(ready & FDWATCH_READ) && c->watch)
        return;
    bool hung_up = !PQconsumeInput(c->pg);
    if (c->busy) {
        watch_growth(c);
        collect(c);
    } else {
        PQisBusy(c->pg); /* parses what came unasked: a notice, a changed parameter */
    }
    hung_up = socket_gone(c) || hung_up || PQstatus(c->pg) != CONNECTION_OK;
    c->lost = c->lost || hung_up;
    if (c->lost || (c->busy && c->complete))
        end(c);
    else if (!c->busy)
        give_notifications(c);
}

static struct pg_conn_op *push(struct pg_conn *c, enum pg_conn_op_kind kind, unsigned item,
                               struct pg_prepared *entry)
{
    BUG(c->op_count >= sizeof c->ops / sizeof c->ops[0]);
    c->ops[c->op_count] = (struct pg_conn_op){.kind = kind, .item = item, .entry = entry};
    return &c->ops[c->op_count++];
}

static bool send_deallocates(struct pg_conn *c, unsigned item)
{
    LIST_EACH(it, &c->doomed)
    {
        struct pg_prepared *p = LIST_ENTRY(it, struct pg_prepared, link);
        char sql[32];
        if (p->queued)
            continue;
        snprintf(sql, sizeof sql, "deallocate %s", p->name);
        if (!PQsendQueryParams(c->pg, sql, 0, NULL, NULL, NULL, NULL, 0))
            return false;
        p->queued = true;
        push(c, PG_CONN_DEALLOCATE, item, p);
        break; /* one for one: what a failed flush left over goes with the next ones */
    }
    return true;
}

static struct pg_prepared *entry_new(struct pg_conn *c, const struct pg_conn_item *it)
{
    struct pg_prepared *p = calloc(1, sizeof *p);
    BUG(!p); /* out of memory: as arena_new */
    p->key.sql = it->sql;
    p->key.role = it->role;
    snprintf(p->name, sizeof p->name, "b%u", ++c->next_name);
    if (c->prepared_count >= PG_CONN_PREPARED_MAX)
        entry_doom(c, LIST_ENTRY(c->recent.prev, struct pg_prepared, link));
    map_put(&c->prepared, key_of(p), p);
    c->prepared_count++;
    list_push_front(&c->recent, &p->link);
    return p;
}

static bool send_prepare(struct pg_conn *c, unsigned i, const struct pg_conn_item *it,
                         struct pg_prepared **out)
{
    struct pg_prepared *p = entry_new(c, it);
    push(c, PG_CONN_PREPARE, i, p); /* first: if sending fails the flush's end frees the entry */
    *out = p;
    metrics_add(METRIC_pg_prepared, 0, 1);
    return PQsendPrepare(c->pg, p->name, it->sql->text, it->sql->params, it->sql->param_oids)
           && send_deallocates(c, i);
}

static bool send_item(struct pg_conn *c, unsigned i, const struct pg_conn_item *it)
{
    const struct pg_sql *sql = it->sql;
    if (!c->prepare) {
        push(c, PG_CONN_EXECUTE, i, NULL);
        return PQsendQueryParams(c->pg, sql->text, sql->params, sql->param_oids, it->values, NULL,
                                 NULL, 0);
    }
    struct pg_prepared probe = {.key = {.sql = sql, .role = it->role}};
    struct pg_prepared *p = map_get(&c->prepared, key_of(&probe));
    if (!p) {
        if (!send_prepare(c, i, it, &p))
            return false;
    } else {
        list_remove(&p->link);
        list_push_front(&c->recent, &p->link);
    }
    push(c, PG_CONN_EXECUTE, i, NULL);
    return PQsendQueryPrepared(c->pg, p->name, sql->params, it->values, NULL, NULL, 0);
}

bool pg_conn_send(struct pg_conn *c, const struct pg_conn_item *items, unsigned n)
{
    BUG(c->busy || n > PG_CONN_ITEMS_MAX);
    pg_conn_drop_results(c);
    c->item_count = n;
    c->error_item = 0;
    c->op_at = c->op_count = 0;
    c->op_answered = false;
    c->reads = 0;
    c->resident_bytes = 0;
    c->complete = false;
    bool ok = !c->lost && PQstatus(c->pg) == CONNECTION_OK;
    for (unsigned i = 0; ok && i < n; i++)
        ok = send_item(c, i, &items[i]);
    push(c, PG_CONN_SYNC, n, NULL);
    ok = ok && PQpipelineSync(c->pg);
    if (ok)
        write_out(c);
    if (!ok || socket_gone(c)) {
        c->lost = true;
        settle_prepared(c);
        c->op_count = 0;
        return false;
    }
    c->busy = true;
    return true;
}

/* ---- what a statement does --------------------------------------------------------------- */

/* Functions of PostgreSQL that only compute; anything else that is called may write. */
static const char *const pure[] = {"in",        "any",
                                   "all",       "exists",
                                   "and",       "or",
                                   "not",       "where",
                                   "from",      "as",
                                   "select",    "count",
                                   "max",       "min",
                                   "sum",       "lower",
                                   "upper",     "now",
                                   "when",      "values",
                                   "coalesce",  "on",
                                   "join",      "then",
                                   "else",      "case",
                                   "length",    "greatest",
                                   "least",     "nullif",
                                   "to_char",   "extract",
                                   "json_agg",  "to_jsonb",
                                   "over",      "row_number",
                                   "jsonb_agg", "jsonb_build_object",
                                   "array_agg", "floor",
                                   "using"};

static bool is_word(char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9')
           || ch == '_' || ch == '.' || ch == '"' || (ch & 0x80);
}

static bool is_pure(struct str word)
{
    if (word.n == 0)
        return true; /* a bracket after an operator or a bracket */
    for (size_t i = 0; i < sizeof pure / sizeof pure[0]; i++)
        if (str_eq_nocase(word, str_from(pure[i])))
            return true;
    return false;
}

static bool may_write(const struct pg_sql *sql)
{
    struct str text = str_trim(str_from(sql->text));
    if (!str_starts_nocase(text, S("select")))
        return true;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != '(')
            continue;
        size_t to = i;
        while (to > 0 && (text.p[to - 1] == ' ' || text.p[to - 1] == '\n'))
            to--;
        size_t from = to;
        while (from > 0 && is_word(text.p[from - 1]))
            from--;
        if (!is_pure(str_of(text.p + from, to - from)))
            return true;
    }
    return false;
}

bool pg_conn_writes(struct pg_conn *c, const struct pg_sql *sql)
{
    unsigned at = (unsigned)((uintptr_t)sql / sizeof *sql % PG_CONN_VERDICTS);
    if (c->verdicts[at].sql != sql) {
        c->verdicts[at].sql = sql;
        c->verdicts[at].writes = may_write(sql);
    }
    return c->verdicts[at].writes;
}
