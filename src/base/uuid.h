/* SPDX-License-Identifier: Apache-2.0 */
/* UUIDs (RFC 9562) as their 36-character lower-case text, which is how SQL and JSON carry them. */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include "base/str.h"

struct uuid {
    char text[37]; /* NUL-terminated; "" when unset */
};

#define UUID_NIL "00000000-0000-0000-0000-000000000000"

struct uuid uuid_v4(void);
/* Sorted by time (v7, milliseconds and a counter), for rows that are appended. */
struct uuid uuid_v7(void);
/* Canonical 8-4-4-4-12 in either case. */
bool uuid_parse(struct str s, struct uuid *out);
bool uuid_valid(struct str s);

static inline struct str uuid_str(const struct uuid *u)
{
    return (struct str){u->text[0] ? u->text : NULL, u->text[0] ? 36 : 0};
}

#endif
