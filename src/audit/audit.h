/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Security events that belong to a change: rows in the change's own transaction and flush, in
 * basalt.audit_event and, where GoTrue has an action for it, in auth.audit_log_entries; and a log
 * line once the change is acknowledged. No second connection, no loss (architecture §5).
 */
#ifndef AUDIT_AUDIT_H
#define AUDIT_AUDIT_H

#include "base/uuid.h"
#include "http/req.h"
#include "pg/pg_tx.h"

enum audit_event {
#define X(id, name, action, log_type) AUDIT_##id,
#include "audit/events.def"
#undef X
    AUDIT_EVENT_COUNT
};

struct audit_note {
    enum audit_event event;
    struct str actor_id;    /* uuid, or absent: nobody is known yet */
    struct str actor_kind;  /* "user", "service", "cli" */
    struct str actor_email; /* for GoTrue's payload (actor_username) */
    struct str subject_id;  /* whom it happened to; absent: the actor */
    struct str detail;      /* JSON object's text or absent */
};

/* Notes of a request that are not durable yet. */
struct audit_trail {
    const struct audit_note *notes[8];
    unsigned count;
};

/* Queues the rows in tx; note is copied. */
void audit_add(struct pg_tx *tx, struct req *req, const struct audit_note *note);
/* pg_tx_commit, then one log line a note: an event is told only once it is durable. */
MUST_CHECK bool audit_commit(struct pg_tx *tx, struct req *req, struct err *e);
/* Forgets the notes of a transaction that was given up. */
void audit_forget(struct req *req);
const char *audit_name(enum audit_event event);

#endif
