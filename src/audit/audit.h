/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Security events, in two ways (architecture §5), neither of which takes a second connection:
 *
 * audit_add: an event that belongs to a change is rows in the change's own transaction and flush, in
 * basalt.audit_event and, where GoTrue has an action for it, in auth.audit_log_entries. No loss. Once
 * committed a copy goes to the journal, so that a row which goes missing is found.
 *
 * audit_report: an event without a change goes to a bounded ring in memory, from there through one
 * thread to the journal, synced within 50 ms, and in batches to basalt.audit_event. It never waits,
 * allocates nothing; without room the event is dropped and counted (basalt_audit_dropped_total).
 *
 * Both are also a log line, `audit`. A detail never holds a secret, an e-mail address or a query.
 */
#ifndef AUDIT_AUDIT_H
#define AUDIT_AUDIT_H

#include "base/uuid.h"
#include "http/req.h"
#include "pg/pg_tx.h"

enum audit_event {
#define X(id, name, action, log_type, category, outcome) AUDIT_##id,
#include "audit/events.def"
#undef X
    AUDIT_EVENT_COUNT
};

enum audit_outcome {
    AUDIT_OUTCOME_USUAL, /* the one of the event's row */
    AUDIT_OUTCOME_SUCCESS,
    AUDIT_OUTCOME_FAILURE,
    AUDIT_OUTCOME_DENIED,
    AUDIT_OUTCOME_ERROR,
    AUDIT_OUTCOME_PARTIAL,
};

struct audit_note {
    enum audit_event event;
    enum audit_outcome outcome;
    struct str actor_id;    /* uuid, or absent: nobody is known yet */
    struct str actor_kind;  /* "user", "service", "cli" */
    struct str actor_email; /* for GoTrue's payload (actor_username) alone */
    struct str subject_id;  /* whom it happened to; absent: the actor */
    struct str detail;      /* JSON object's text or absent; reported ones at most 1 KiB */
};

/* Notes of a request that are not durable yet. */
struct audit_entry {
    struct audit_note note;
    struct uuid id;
};

struct audit_trail {
    const struct audit_entry *entries[8];
    unsigned count;
};

/* Queues the rows in tx; note is copied. */
void audit_add(struct pg_tx *tx, struct req *req, const struct audit_note *note);
/* pg_tx_commit, then one log line a note: an event is told only once it is durable. */
MUST_CHECK bool audit_commit(struct pg_tx *tx, struct req *req, struct err *e);
/* Forgets the notes of a transaction that was given up. */
void audit_forget(struct req *req);

/*
 * From any thread, at any time; req is NULL for what no request has caused. What an answer's status
 * tells (401, 403, 429, 500, malformed) app/incident.c reports, once: no caller of a limit need do it.
 */
void audit_report(const struct req *req, const struct audit_note *note);

struct audit_config {
    const char *dir;      /* of the journal; made when missing */
    int64_t file_bytes;   /* of one of its files, about */
    int64_t max_bytes;    /* of the whole journal; beyond it events are dropped */
    int64_t retention_us; /* what is older is deleted once it is in the database, and there too */
    const char *conninfo; /* the shipper's own connection; strings live until audit_close */
    const char *set_role; /* or NULL */
    bool gotrue_rows;     /* also write auth.audit_log_entries */
};

/* Starts journal and shipper. Once a process, before the first request. */
MUST_CHECK bool audit_open(const struct audit_config *c, struct err *e);
/* Syncs what was reported, and ships as much as the time allows; the journal keeps the rest. */
void audit_close(int timeout_ms);
const char *audit_name(enum audit_event event);

#endif
