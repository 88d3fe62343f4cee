/* SPDX-License-Identifier: Apache-2.0 */
/* Wall time is int64_t microseconds since 1970, UTC; durations and deadlines are monotonic. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/str.h"

#define CLOCK_MS 1000LL
#define CLOCK_S  1000000LL

int64_t clock_wall_us(void);
int64_t clock_mono_us(void);
/* "2026-01-02T03:04:05.123456Z" (RFC 3339, UTC, six digits), NUL-terminated. */
void clock_rfc3339(int64_t wall_us, char out[28]);
/* "Fri, 02 Jan 2026 03:04:05 GMT" (RFC 9110 §5.6.7), NUL-terminated. */
void clock_http_date(int64_t wall_us, char out[30]);
/*
 * PostgreSQL's ISO text of a timestamptz in any zone offset ("2026-01-02 03:04:05.123+02",
 * "…+00") or RFC 3339; false when it is neither.
 */
bool clock_parse(struct str s, int64_t *out);

#endif
