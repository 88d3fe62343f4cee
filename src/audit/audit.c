/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/audit.h"

#include "audit/audit_sql.h"
#include "base/json.h"
#include "base/log.h"
#include "ops/metrics.h"

struct event_row {
    const char *name, *action, *log_type;
};

static const struct event_row events[AUDIT_EVENT_COUNT] = {
#define X(id, name, action, log_type) [AUDIT_##id] = {name, action, log_type},
#include "audit/events.def"
#undef X
};

enum { PAYLOAD_MAX = 2048 };

const char *audit_name(enum audit_event event)
{
    return events[event].name;
}

/* GoTrue's payload (auth.md §5.6): whoever reads auth.audit_log_entries today keeps reading it. */
static struct str payload_of(const struct audit_note *note, struct arena *a)
{
    struct buf b;
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

static void remember(struct req *req, const struct audit_note *note)
{
    if (!req->audit)
        req->audit = arena_new(req->arena, struct audit_trail, 1);
    struct audit_trail *trail = req->audit;
    BUG(trail->count == sizeof(trail->notes) / sizeof(trail->notes[0]));
    struct audit_note *copy = arena_new(req->arena, struct audit_note, 1);
    *copy = *note;
    trail->notes[trail->count++] = copy;
}

void audit_add(struct pg_tx *tx, struct req *req, const struct audit_note *note)
{
    struct uuid *id = arena_new(req->arena, struct uuid, 1);
    *id = uuid_v7();
    struct str subject = note->subject_id.p ? note->subject_id : note->actor_id;
    pg_tx_add(tx, &audit_insert_sql,
              PG_ARGS(uuid_str(id), str_from(events[note->event].name), S("success"),
                      note->actor_id, note->actor_kind, subject, req->client_ip, req->user_agent,
                      str_from(req->id), note->detail, payload_of(note, req->arena)));
    remember(req, note);
}

static void log_note(const struct req *req, const struct audit_note *note)
{
    struct log_line l;
    log_begin(&l, LOG_INFO, "audit");
    log_cstr(&l, "name", events[note->event].name);
    log_cstr(&l, "outcome", "success");
    log_str(&l, "actor_id", note->actor_id);
    log_str(&l, "actor_kind", note->actor_kind);
    log_str(&l, "subject_id", note->subject_id);
    log_str(&l, "ip", req->client_ip);
    log_cstr(&l, "request_id", req->id);
    log_end(&l);
}

bool audit_commit(struct pg_tx *tx, struct req *req, struct err *e)
{
    if (!pg_tx_commit(tx, e)) {
        audit_forget(req); /* what they point to may be gone with the caller */
        return false;
    }
    const struct audit_trail *trail = req->audit;
    for (unsigned i = 0; trail && i < trail->count; i++)
        log_note(req, trail->notes[i]);
    metrics_add(METRIC_audit_events, 0, trail ? trail->count : 0);
    audit_forget(req);
    return true;
}

void audit_forget(struct req *req)
{
    req->audit = NULL;
}
