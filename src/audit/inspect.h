/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the audit is whole: the journal by its hash chain, the database's rows by the journal that
 * they came from and by their seals. Blocking, for the command line; a server may run meanwhile.
 */
#ifndef AUDIT_INSPECT_H
#define AUDIT_INSPECT_H

#include "base/err.h"
#include "pg/pg_now.h"

struct inspect_report {
    uint64_t files, events, copies, dropped, first, last; /* of the journal */
    int64_t seals, sealed, rows;                          /* of the database */
};

/*
 * pg NULL: the journal alone; a folder without one: the database alone. False with e, status 1 "audit_damaged", naming the first thing that is
 * wrong; with another code when it could not be looked at.
 */
MUST_CHECK bool inspect_run(const char *dir, struct pg_now *pg, struct inspect_report *out,
                            struct err *e);

#endif
