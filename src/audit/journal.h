/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal: events from any thread through a bounded ring to one writer thread, which appends them
 * to files, syncs them together (group commit) and gives them their sequence. A number that is
 * missing in the sequence is an event that was dropped, and counted; after a crash the sequence goes
 * on behind what was synced. A full disk drops and counts, and stops nobody. Once a process.
 */
#ifndef AUDIT_JOURNAL_H
#define AUDIT_JOURNAL_H

#include "audit/journal_line.h"
#include "base/err.h"

struct journal_config {
    const char *dir;    /* lives as long as the journal */
    int64_t file_bytes; /* a file that is longer is followed by a new one */
    int64_t max_bytes;  /* of all files; beyond it events are dropped */
};

/* Recovers what is there and starts the writer. e, status 500: "audit_journal". */
MUST_CHECK bool journal_open(const struct journal_config *c, struct err *e);
/* Writes what is in the ring, waits at most timeout_ms for it. */
void journal_close(int timeout_ms);

/*
 * Queues one record (JSON, one line); never waits. False: there was no room, it is dropped and
 * counted. From any thread, also before journal_open.
 */
bool journal_push(struct str record);

/* Id of this folder, "" before journal_open. */
const char *journal_node(void);
/* The highest sequence that is synced. */
uint64_t journal_synced(void);
/* Events that are lost: dropped by this process, and the gaps that it found. */
uint64_t journal_dropped(void);
/* Waits until something beyond `sequence` is synced, until_us (monotonic) or journal_rouse. */
void journal_wait(uint64_t sequence, int64_t until_us);
void journal_rouse(void);
/* Size of all files; of one that was deleted less. */
int64_t journal_bytes(void);
void journal_shrink(int64_t bytes);

#endif
