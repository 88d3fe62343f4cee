/* SPDX-License-Identifier: Apache-2.0 */
/* `basalt audit`: verify, tail and export. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "audit/event_page.h"
#include "audit/inspect.h"
#include "base/clock.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/connect.h"

enum { CONNECT_MS = 5000, PAGE = 1000, TAIL_DEFAULT = 20, TAIL_MAX = 10000 };

struct call {
    struct settings *settings;
    struct secrets secrets;
    struct database db;
    struct pg_now *pg;
    bool csv, journal_only;
    struct str since; /* RFC 3339, or absent */
    int64_t count;
};

static bool open_database(struct call *c, struct err *e)
{
    return connect_database(c->settings, &c->secrets, &c->db, e)
           && pg_now_open(c->db.owner, CONNECT_MS, &c->pg, e);
}

static void close_database(struct call *c)
{
    pg_now_close(&c->pg);
    database_close(&c->db, true);
    secrets_close(&c->secrets);
}

/* ---- verify -------------------------------------------------------------------------------------- */

static bool verify(struct call *c, struct err *e)
{
    struct inspect_report v;
    struct arena *a = &c->settings->memory;
    const char *dir = arena_printf(a, "%s/audit", settings_data_dir(c->settings)).p;
    if (!c->journal_only && !open_database(c, e))
        return false;
    if (!inspect_run(dir, c->pg, &v, e))
        return false;
    if (v.files == 0)
        printf("journal: none in this data folder\n");
    else
        printf("journal: %" PRIu64 " events and %" PRIu64 " copies in %" PRIu64
               " files, sequence up to %" PRIu64 ", %" PRIu64 " dropped\n",
               v.events, v.copies, v.files, v.last, v.dropped);
    if (!c->journal_only)
        printf("database: %" PRId64 " events, %" PRId64 " of them sealed by %" PRId64 " seals\n",
               v.rows, v.sealed, v.seals);
    printf("everything verifies\n");
    return true;
}

/* ---- rows ------------------------------------------------------------------------------------------ */

static const char *const columns[] = {
    "seq",        "at",         "name",       "category", "outcome",
    "actor_id",   "actor_kind", "subject_id", "ip",       "user_agent",
    "request_id", "detail",     "node",       "sequence", "id",
};
enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };

static bool is_json(int column)
{
    return column == AUDIT_PAGE_SEQ || column == AUDIT_PAGE_DETAIL || column == AUDIT_PAGE_SEQUENCE;
}

static void put_json(struct buf *b, const struct pg_result *r, size_t row)
{
    json_put_open(b, '{');
    for (int i = 0; i < (int)COLUMNS; i++)
        if (is_json(i))
            json_put_kraw(b, columns[i], pg_row_str(r, row, (unsigned)i));
        else
            json_put_kstr(b, columns[i], pg_row_str(r, row, (unsigned)i));
    json_put_close(b, '}');
    buf_char(b, '\n');
}

/*
 * RFC 4180. A value that a spreadsheet would take for a formula gets an apostrophe in front: what is
 * in user_agent is the client's word.
 */
static void put_csv(struct buf *b, const struct pg_result *r, size_t row)
{
    for (int i = 0; i < (int)COLUMNS; i++) {
        struct str s = pg_row_str(r, row, (unsigned)i);
        BUF_LIT(b, "\"");
        if (s.n > 0 && strchr("=+-@\t\r", s.p[0]))
            buf_char(b, '\'');
        for (size_t k = 0; k < s.n; k++) {
            if (s.p[k] == '"')
                buf_char(b, '"');
            buf_char(b, s.p[k]);
        }
        BUF_LIT(b, "\"");
        buf_str(b, i + 1 < (int)COLUMNS ? S(",") : S("\r\n"));
    }
}

/* What a terminal must not obey becomes '?'. */
static void put_word(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        buf_char(b, (unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f ? '?' : s.p[i]);
    if (s.n == 0)
        buf_char(b, '-');
}

static void put_line(struct buf *b, const struct pg_result *r, size_t row)
{
    static const unsigned shown[] = {AUDIT_PAGE_AT,         AUDIT_PAGE_NAME, AUDIT_PAGE_OUTCOME,
                                     AUDIT_PAGE_SUBJECT_ID, AUDIT_PAGE_IP,   AUDIT_PAGE_DETAIL};
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        put_word(b, pg_row_str(r, row, shown[i]));
        buf_char(b, i + 1 < sizeof(shown) / sizeof(shown[0]) ? ' ' : '\n');
    }
}

typedef void put_fn(struct buf *b, const struct pg_result *r, size_t row);

static bool write_page(const struct pg_result *r, put_fn *put, struct err *e)
{
    CLEANUP(buf_free) struct buf b = {.max_bytes = 256 * 1024 * 1024};
    for (size_t i = 0; i < pg_row_count(r); i++)
        put(&b, r, i);
    bool ok = !b.failed && fwrite(b.p, 1, b.n, stdout) == b.n && fflush(stdout) == 0;
    return ok || err_set(e, 1, "output", "the output cannot be written");
}

static bool tail(struct call *c, struct err *e)
{
    struct pg_result *r = NULL;
    bool ok = open_database(c, e) && event_page_read(c->pg, 0, c->since, c->count, true, &r, e)
              && write_page(r, put_line, e);
    pg_now_free(&r);
    return ok;
}

static bool export_all(struct call *c, struct err *e)
{
    int64_t after = 0;
    if (!open_database(c, e))
        return false;
    for (unsigned i = 0; c->csv && i < COLUMNS; i++)
        printf("%s%s", columns[i], i + 1 < COLUMNS ? "," : "\r\n");
    for (bool more = true; more;) {
        struct pg_result *r = NULL;
        bool ok = event_page_read(c->pg, after, c->since, PAGE, false, &r, e)
                  && write_page(r, c->csv ? put_csv : put_json, e);
        size_t n = ok ? pg_row_count(r) : 0;
        if (n > 0)
            after = pg_row_i64(r, n - 1, AUDIT_PAGE_SEQ);
        pg_now_free(&r);
        if (!ok)
            return false;
        more = n == PAGE;
    }
    return true;
}

/* ---- the words of the call --------------------------------------------------------------------------- */

/* "24h" ago, or a time. */
static bool since_read(struct call *c, const char *text)
{
    int64_t us;
    char time[28];
    if (str_to_duration_us(str_from(text), &us))
        us = clock_wall_us() - us;
    else if (!clock_parse(str_from(text), &us)
             && !clock_parse(arena_printf(&c->settings->memory, "%sT00:00:00Z", text), &us))
        return false;
    clock_rfc3339(us, time);
    c->since = arena_str(&c->settings->memory, str_from(time));
    return true;
}

static const char *flags_read(struct call *c, const char **args, int n)
{
    for (int i = 1; i < n; i++) {
        if (strcmp(args[i], "--csv") == 0)
            c->csv = true;
        else if (strcmp(args[i], "--json") == 0)
            c->csv = false;
        else if (strcmp(args[i], "--journal") == 0)
            c->journal_only = true;
        else if (strcmp(args[i], "--since") == 0 && i + 1 < n) {
            if (!since_read(c, args[++i]))
                return "--since takes a duration (24h, 7d) or a time (2026-01-31, 2026-01-31T12:00:00Z)";
        } else if (!str_to_i64(str_from(args[i]), &c->count) || c->count < 1 || c->count > TAIL_MAX)
            return "it takes flags, and tail a number from 1 to 10000";
    }
    return NULL;
}

int audit_command(struct settings *s, const char **args, int n)
{
    static const struct {
        const char *name;
        bool (*run)(struct call *, struct err *);
    } verbs[] = {{"verify", verify}, {"tail", tail}, {"export", export_all}};
    struct call c = {.settings = s, .count = TAIL_DEFAULT};
    struct err e = {0};
    for (size_t i = 0; n > 0 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(args[0], verbs[i].name) != 0)
            continue;
        const char *wrong = flags_read(&c, args, n);
        if (wrong)
            return command_misused("audit", wrong);
        bool ok = verbs[i].run(&c, &e);
        close_database(&c);
        return ok ? 0 : command_fail(&e);
    }
    return command_misused("audit", "it takes verify, tail or export");
}
