/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/pg_row.h"

#include "base/clock.h"
#include "base/err.h"
#include "pg/pg_result.h"

size_t pg_row_count(const struct pg_result *r)
{
    return (size_t)PQntuples(r->pg);
}

size_t pg_row_affected(const struct pg_result *r)
{
    /* libpq forgot the const: it only reads */
    uint64_t n = 0;
    return str_to_u64(str_from(PQcmdTuples((PGresult *)(uintptr_t)r->pg)), &n) ? (size_t)n : 0;
}

static void check(const struct pg_result *r, size_t row, unsigned column)
{
    BUG(row >= (size_t)PQntuples(r->pg));
    BUG(column >= (unsigned)PQnfields(r->pg));
}

bool pg_row_null(const struct pg_result *r, size_t row, unsigned column)
{
    check(r, row, column);
    return PQgetisnull(r->pg, (int)row, (int)column);
}

struct str pg_row_str(const struct pg_result *r, size_t row, unsigned column)
{
    if (pg_row_null(r, row, column))
        return (struct str){0};
    return str_of(PQgetvalue(r->pg, (int)row, (int)column),
                  (size_t)PQgetlength(r->pg, (int)row, (int)column));
}

int64_t pg_row_i64(const struct pg_result *r, size_t row, unsigned column)
{
    int64_t v = 0;
    return str_to_i64(pg_row_str(r, row, column), &v) ? v : 0;
}

bool pg_row_bool(const struct pg_result *r, size_t row, unsigned column)
{
    struct str s = pg_row_str(r, row, column);
    return s.n > 0 && s.p[0] == 't';
}

int64_t pg_row_time(const struct pg_result *r, size_t row, unsigned column)
{
    int64_t us = 0;
    struct str s = pg_row_str(r, row, column);
    return s.p && clock_parse(s, &us) ? us : 0;
}
