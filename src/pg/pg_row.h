/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a result. Values point into it and live as long as the transaction struct does. */
#ifndef PG_ROW_H
#define PG_ROW_H

#include "base/str.h"

struct pg_result;

size_t pg_row_count(const struct pg_result *r);
/* Rows touched by INSERT, UPDATE, DELETE; the row count for SELECT. */
size_t pg_row_affected(const struct pg_result *r);
/* SQL null is the absent str, 0, false. */
struct str pg_row_str(const struct pg_result *r, size_t row, unsigned column);
bool pg_row_null(const struct pg_result *r, size_t row, unsigned column);
int64_t pg_row_i64(const struct pg_result *r, size_t row, unsigned column);
bool pg_row_bool(const struct pg_result *r, size_t row, unsigned column);
/* timestamptz in wall microseconds; 0 for null. */
int64_t pg_row_time(const struct pg_result *r, size_t row, unsigned column);

#endif
