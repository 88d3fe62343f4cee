/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_sql.h: one fixed SQL statement as the build embeds it.
 *
 * The build turns each file of a src/<feature>/sql/ folder into one constant of this type (see
 * tools/embed_sql): session_lock_by_token.sql becomes session_lock_by_token_sql, declared in
 * <feature>_sql.h together with an enum of its result columns. Everything here is constant data
 * with static lifetime, so any thread may read it. Layer: pg, knows nothing but the C library.
 */
#ifndef PG_PG_SQL_H
#define PG_PG_SQL_H

struct pg_sql {
    const char *name;           /* file name without ".sql"; also the prepared statement's name */
    const char *text;           /* NUL-terminated, comments stripped, parameters are $1..$n */
    const char *signature;      /* "name(a text) -> (id uuid, note text?)", for logs and tests */
    int params;                 /* number of parameters */
    int columns;                /* number of result columns, 0 when it returns no rows */
    const unsigned *param_oids; /* `params` type OIDs, 0 where the server shall infer the type */
};

#endif
