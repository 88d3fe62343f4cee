/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the database's events in their order, for the command line; columns: AUDIT_PAGE_…. Blocking. */
#ifndef AUDIT_EVENT_PAGE_H
#define AUDIT_EVENT_PAGE_H

#include "audit/audit_sql.h"
#include "pg/pg_now.h"

/*
 * At most `most` events behind seq `after`, or the newest ones, none before `since` (RFC 3339; absent:
 * all). Freed by pg_now_free.
 */
MUST_CHECK bool event_page_read(struct pg_now *pg, int64_t after, struct str since, int64_t most,
                                bool newest, struct pg_result **out, struct err *e);

#endif
