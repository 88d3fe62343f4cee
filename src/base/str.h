/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte strings by value: a pointer and a length, not owned, not NUL-terminated.
 * A str never outlives the memory it was cut from (usually the request's arena or its input
 * buffer). p is NULL for "absent", which SQL and JSON treat as null; an empty string has p set.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define S(lit) ((struct str){(lit), sizeof(lit) - 1})
/* For tables, where a compound literal is not a constant expression. */
/* clang-format off */
#define S_INIT(lit) {(lit), sizeof(lit) - 1}
/* clang-format on */
/* printf("%.*s", STR_ARG(s)) */
#define STR_ARG(s) (int)(s).n, (s).p ? (s).p : ""

static inline struct str str_from(const char *cstr)
{
    return (struct str){cstr, cstr ? strlen(cstr) : 0};
}

static inline struct str str_of(const char *p, size_t n)
{
    return (struct str){p, n};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_is(struct str s, const char *cstr)
{
    return str_eq(s, str_from(cstr));
}

/* ASCII case only: header names, schemes, methods. */
bool str_eq_nocase(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_starts_nocase(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/* Without the spaces and tabs at both ends (RFC 9110 §5.6.3 OWS). */
struct str str_trim(struct str s);
/* From byte `from` to the end; empty when from > n. */
struct str str_from_at(struct str s, size_t from);
/* Offset of the first occurrence; false when there is none. */
bool str_find(struct str s, struct str needle, size_t *out);
bool str_find_char(struct str s, char c, size_t *out);
/*
 * Splits at the first `sep`: *head before it, *rest after it (either may alias &s's variable).
 * Without a separator *head is all of s, *rest is absent, and the result is false.
 * Loop: for (bool more = true; more;) { more = str_cut(rest, ',', &item, &rest); … }
 */
bool str_cut(struct str s, char sep, struct str *head, struct str *rest);
/* Whether a comma separated list has the word (spaces around items do not count); not the empty word. */
bool str_list_has(struct str list, struct str word);
/* The whole string is a decimal number ('-' allowed for i64, no '+', no spaces) that fits. */
bool str_to_i64(struct str s, int64_t *out);
bool str_to_u64(struct str s, uint64_t *out);
/* "250ms", "10s", "5m", "1h30m", "24h", "7d" (Go durations and days), to microseconds, ≥ 0. */
bool str_to_duration_us(struct str s, int64_t *out);
/* "true/false", "on/off", "yes/no", "1/0", any ASCII case. */
bool str_to_bool(struct str s, bool *out);
/* "4096", "64KiB", "10MiB", "1GiB", to bytes. */
bool str_to_size(struct str s, size_t *out);

#endif
