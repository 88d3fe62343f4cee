/* SPDX-License-Identifier: Apache-2.0 */
#include "app/audit_start.h"

#include <stdio.h>

#include "audit/audit.h"
#include "base/json.h"
#include "base/version.h"
#include "runtime/file.h"

enum { SNAPSHOT_MAX = 256 * 1024, DETAIL_MAX = 1024, CLOSE_MS = 3000 };

static bool opened;

/* ---- which settings have changed ------------------------------------------------------------- */

static void put_text(struct buf *b, const char *value)
{
    buf_str(b, value ? str_from(value) : S("(unset)"));
}

static void put_number(struct buf *b, int64_t value)
{
    buf_i64(b, value);
}

/* Of a secret only whether there is one. */
static void put_secret(struct buf *b, const char *value)
{
    buf_str(b, value ? S("(set)") : S("(unset)"));
}

/* "name=value" a line. */
static void snapshot(const struct settings *s, struct buf *b)
{
#define PUT_STR      put_text
#define PUT_CHOICE   put_text
#define PUT_LIST     put_text
#define PUT_SECRET   put_secret
#define PUT_BOOL     put_number
#define PUT_INT      put_number
#define PUT_DURATION put_number
#define PUT_SIZE     put_number
#define X(member, type, fallback, min, max, choices, aliases, group, help) \
    BUF_LIT(b, #member "=");                                               \
    PUT_##type(b, s->member);                                              \
    buf_char(b, '\n');
#include "app/config.def"
#undef X
}

static bool has_line(struct str text, struct str line)
{
    struct str one;
    for (bool more = text.n > 0; more;) {
        more = str_cut(text, '\n', &one, &text);
        if (str_eq(one, line))
            return true;
    }
    return false;
}

/* {"settings":["pool_size",…]}: the names of lines that the former snapshot does not have. */
static unsigned changes(struct str before, struct str now, struct buf *detail)
{
    struct str line, name, value;
    unsigned n = 0;
    json_put_open(detail, '{');
    json_put_key(detail, "settings");
    json_put_open(detail, '[');
    for (bool more = true; more;) {
        more = str_cut(now, '\n', &line, &now);
        if (line.n == 0 || has_line(before, line) || detail->n > DETAIL_MAX - 100)
            continue;
        str_cut(line, '=', &name, &value);
        json_put_str(detail, name);
        n++;
    }
    json_put_close(detail, ']');
    json_put_close(detail, '}');
    return n;
}

/* Compares with what the last start wrote down, and writes down this one. */
static bool settings_compare(const struct settings *s, const char *dir, struct err *e)
{
    char path[4096], mem[DETAIL_MAX];
    struct buf detail = {.p = mem, .cap = sizeof(mem), .max_bytes = sizeof(mem)};
    CLEANUP(buf_free) struct buf before = {0}, now = {0};
    buf_init(&before, SNAPSHOT_MAX);
    buf_init(&now, SNAPSHOT_MAX);
    snprintf(path, sizeof(path), "%s/audit/settings", dir);
    snapshot(s, &now);
    bool known = file_now_read(path, SNAPSHOT_MAX, &before, e);
    err_clear(e);
    if (known && str_eq(buf_view(&before), buf_view(&now)))
        return true;
    if (known && changes(buf_view(&before), buf_view(&now), &detail) > 0)
        audit_report(NULL, &(struct audit_note){.event = AUDIT_CONFIGURATION_CHANGED,
                                                .actor_kind = S("server"),
                                                .detail = buf_view(&detail)});
    return file_now_write(path, buf_view(&now), 0600, e);
}

/* ---- start and stop ---------------------------------------------------------------------------- */

static void report_server(enum audit_event event)
{
    audit_report(NULL, &(struct audit_note){.event = event,
                                            .actor_kind = S("server"),
                                            .detail = S("{\"version\":\"" BASALT_VERSION "\"}")});
}

bool audit_start_open(struct settings *s, const char *dir, const struct database *db, struct err *e)
{
    struct audit_config c = {
        .dir = arena_printf(&s->memory, "%s/audit", dir).p,
        .file_bytes = s->audit_file_size,
        .max_bytes = s->audit_journal_max,
        .retention_us = s->audit_retention,
        .conninfo = db->login[PG_LOGIN_AUTH],
        .set_role = db->set_role[PG_LOGIN_AUTH],
        .gotrue_rows = !s->audit_log_disable_postgres,
    };
    if (!audit_open(&c, e))
        return false;
    opened = true;
    report_server(AUDIT_SERVER_STARTED);
    return settings_compare(s, dir, e);
}

void audit_start_close(void)
{
    if (!opened)
        return;
    report_server(AUDIT_SERVER_STOPPED);
    audit_close(CLOSE_MS);
    opened = false;
}
