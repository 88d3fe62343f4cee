/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/audit.h"

#include "audit/audit_sql.h"
#include "audit/journal.h"
#include "audit/shipper.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "ops/metrics.h"

struct event_row {
    const char *name, *action, *log_type, *category;
    enum audit_outcome outcome;
};

static const struct event_row events[AUDIT_EVENT_COUNT] = {
#define X(id, name, action, log_type, category, outcome) \
    [AUDIT_##id] = {name, action, log_type, category, AUDIT_OUTCOME_##outcome},
#include "audit/events.def"
#undef X
};

enum { PAYLOAD_MAX = 2048 };

static bool opened, gotrue_rows = true;

const char *audit_name(enum audit_event event)
{
    return events[event].name;
}

static struct str outcome_of(const struct audit_note *note)
{
    static const struct str names[] = {
        [AUDIT_OUTCOME_USUAL] = S_INIT(""),          [AUDIT_OUTCOME_SUCCESS] = S_INIT("success"),
        [AUDIT_OUTCOME_FAILURE] = S_INIT("failure"), [AUDIT_OUTCOME_DENIED] = S_INIT("denied"),
        [AUDIT_OUTCOME_ERROR] = S_INIT("error"),     [AUDIT_OUTCOME_PARTIAL] = S_INIT("partial"),
    };
    return names[note->outcome ? note->outcome : events[note->event].outcome];
}

/* What an administrator does is that before all, whatever it is done to. */
static struct str category_of(const struct audit_note *note)
{
    bool admin = str_is(note->actor_kind, "service") || str_is(note->actor_kind, "cli");
    return admin ? S("admin_action") : str_from(events[note->event].category);
}

/* GoTrue's payload (auth.md §5.6): whoever reads auth.audit_log_entries today keeps reading it. */
static struct str payload_of(const struct audit_note *note, struct arena *a)
{
    struct buf b;
    if (!events[note->event].action || !gotrue_rows)
        return (struct str){0};
    buf_init_arena(&b, a, PAYLOAD_MAX);
    json_put_open(&b, '{');
    json_put_kstr(&b, "actor_id", note->actor_id.p ? note->actor_id : S(UUID_NIL));
    json_put_kbool(&b, "actor_via_sso", false);
    json_put_kstr(&b, "actor_username", note->actor_email.p ? note->actor_email : note->actor_kind);
    json_put_kstr(&b, "action", str_from(events[note->event].action));
    json_put_kstr(&b, "log_type", str_from(events[note->event].log_type));
    if (note->detail.p)
        json_put_kraw(&b, "traits", note->detail);
    json_put_close(&b, '}');
    return b.failed ? (struct str){0} : buf_view(&b);
}

static const struct audit_entry *remember(struct req *req, const struct audit_note *note)
{
    if (!req->audit)
        req->audit = arena_new(req->arena, struct audit_trail, 1);
    struct audit_trail *trail = req->audit;
    BUG(trail->count == sizeof(trail->entries) / sizeof(trail->entries[0]));
    struct audit_entry *entry = arena_new(req->arena, struct audit_entry, 1);
    *entry = (struct audit_entry){.note = *note, .id = uuid_v7()};
    return trail->entries[trail->count++] = entry;
}

void audit_add(struct pg_tx *tx, struct req *req, const struct audit_note *note)
{
    const struct audit_entry *entry = remember(req, note);
    struct str subject = note->subject_id.p ? note->subject_id : note->actor_id;
    pg_tx_add(tx, &audit_insert_sql,
              PG_ARGS(uuid_str(&entry->id), str_from(events[note->event].name), outcome_of(note),
                      note->actor_id, note->actor_kind, subject, req->client_ip, req->user_agent,
                      str_from(req->id), note->detail, payload_of(note, req->arena),
                      category_of(note)));
}

static void log_note(const struct req *req, const struct audit_note *note)
{
    struct log_line l;
    log_begin(&l, LOG_INFO, "audit");
    log_cstr(&l, "name", events[note->event].name);
    log_str(&l, "category", category_of(note));
    log_str(&l, "outcome", outcome_of(note));
    log_str(&l, "actor_id", note->actor_id);
    log_str(&l, "actor_kind", note->actor_kind);
    log_str(&l, "subject_id", note->subject_id);
    if (req) {
        log_str(&l, "ip", req->client_ip);
        log_cstr(&l, "request_id", req->id);
    }
    if (note->detail.p)
        log_str(&l, "detail", note->detail);
    log_end(&l);
}

/* A record fits JOURNAL_RECORD_MAX even with every byte of these escaped. */
enum { USER_AGENT_MAX = 512, DETAIL_MAX = 1024 };

static struct str cut(struct str s, size_t max)
{
    return s.n > max ? str_of(s.p, max) : s;
}

/* One line of JSON: what the journal keeps and the database is given. */
static void record_put(struct buf *b, const struct req *req, const struct audit_note *note,
                       struct uuid id)
{
    json_put_kstr(b, "id", uuid_str(&id));
    json_put_ktime(b, "at", clock_wall_us());
    json_put_kstr(b, "name", str_from(events[note->event].name));
    json_put_kstr(b, "category", category_of(note));
    json_put_kstr(b, "outcome", outcome_of(note));
    json_put_kstr(b, "actor_id", note->actor_id);
    json_put_kstr(b, "actor_kind", note->actor_kind);
    json_put_kstr(b, "subject_id", note->subject_id.p ? note->subject_id : note->actor_id);
    if (req) {
        json_put_kstr(b, "ip", req->client_ip);
        json_put_kstr(b, "user_agent", cut(req->user_agent, USER_AGENT_MAX));
        json_put_kstr(b, "request_id", str_from(req->id));
    }
    if (note->detail.n <= DETAIL_MAX)
        json_put_kraw(b, "detail", note->detail);
    else
        json_put_ki64(b, "detail_bytes", (int64_t)note->detail.n);
    json_put_close(b, '}');
}

static void keep_copy(const struct req *req, const struct audit_entry *entry)
{
    char mem[JOURNAL_RECORD_MAX];
    struct buf b = {.p = mem, .cap = sizeof(mem), .max_bytes = sizeof(mem)};
    if (!opened)
        return;
    BUF_LIT(&b, JOURNAL_LINE_COPY);
    b.n--; /* the comma, which the next member puts */
    record_put(&b, req, &entry->note, entry->id);
    if (!b.failed)
        journal_push(buf_view(&b));
}

bool audit_commit(struct pg_tx *tx, struct req *req, struct err *e)
{
    if (!pg_tx_commit(tx, e)) {
        audit_forget(req); /* what they point to may be gone with the caller */
        return false;
    }
    const struct audit_trail *trail = req->audit;
    for (unsigned i = 0; trail && i < trail->count; i++) {
        keep_copy(req, trail->entries[i]);
        log_note(req, &trail->entries[i]->note);
    }
    metrics_add(METRIC_audit_events, 0, trail ? trail->count : 0);
    audit_forget(req);
    return true;
}

void audit_forget(struct req *req)
{
    req->audit = NULL;
}

/* ---- events without a change --------------------------------------------------------------- */

void audit_report(const struct req *req, const struct audit_note *note)
{
    char mem[JOURNAL_RECORD_MAX];
    struct buf b = {.p = mem, .cap = sizeof(mem), .max_bytes = sizeof(mem)};
    json_put_open(&b, '{');
    record_put(&b, req, note, uuid_v7());
    if (!b.failed && journal_push(buf_view(&b)))
        metrics_add(METRIC_audit_events, 1, 1);
    log_note(req, note);
}

bool audit_open(const struct audit_config *c, struct err *e)
{
    struct journal_config journal = {
        .dir = c->dir, .file_bytes = c->file_bytes, .max_bytes = c->max_bytes};
    struct shipper_config shipper = {.dir = c->dir,
                                     .conninfo = c->conninfo,
                                     .set_role = c->set_role,
                                     .retention_us = c->retention_us,
                                     .max_bytes = c->max_bytes};
    gotrue_rows = c->gotrue_rows;
    opened = true;
    return journal_open(&journal, e) && shipper_start(&shipper, e);
}

void audit_close(int timeout_ms)
{
    journal_close(timeout_ms);
    shipper_stop(timeout_ms);
}
