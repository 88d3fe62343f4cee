/* SPDX-License-Identifier: Apache-2.0 */
/* Private to pg/: what the opaque result is. Owner: pg_tx (in the client's arena) or pg_now (malloc). */
#ifndef PG_PG_RESULT_H
#define PG_PG_RESULT_H

#include <libpq-fe.h>

struct pg_result {
    PGresult *pg;
    struct pg_result *next; /* of the same transaction */
};

#endif
