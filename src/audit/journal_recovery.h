/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the journal's folder holds when a server starts: whose it is and where chain and sequence go
 * on. A torn tail, which a crash left before it was synced, is cut off.
 */
#ifndef AUDIT_JOURNAL_RECOVERY_H
#define AUDIT_JOURNAL_RECOVERY_H

#include "audit/journal_reader.h"

struct journal_state {
    char node[37];            /* this folder's id */
    uint64_t file;            /* the last file's number, 0: none */
    uint64_t sequence;        /* the last one that was given */
    uint64_t records;         /* written in all; what is missing to sequence was dropped */
    struct journal_hash hash; /* of the last line */
    int64_t bytes;            /* of all files */
};

/*
 * Makes the folder, mode 0700, where it is missing. Bytes at the end that are neither a line nor the
 * begin of one are no crash's doing: they are kept in NNNNNNNN.damaged, which verify tells of.
 */
MUST_CHECK bool journal_recovery_run(const char *dir, struct journal_state *out, struct err *e);

#endif
