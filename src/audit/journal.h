/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal: events from any thread through a bounded ring to one writer. Private to audit/ and
 * app/.
 */
#ifndef AUDIT_JOURNAL_H
#define AUDIT_JOURNAL_H

#include "base/str.h"

enum { JOURNAL_RECORD_MAX = 10240 }; /* bytes */

/*
 * Queues one record (JSON, one line); never waits. False: there was no room, it is dropped and
 * counted. From any thread, also before journal_open.
 */
bool journal_push(struct str record);

#endif
