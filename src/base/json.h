/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON in through a table of fields (jansson behind it: strict, duplicate keys rejected, depth
 * bounded before parsing), JSON out by small writers on a buf (json_put.c). No I/O. RFC 8259.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"
#include "base/err.h"

enum json_type {
    JSON_STR,    /* struct str, UTF-8, no NUL; max = bytes */
    JSON_SECRET, /* struct str too; never repeated in an error */
    JSON_UUID,   /* struct str, lower-case canonical text */
    JSON_I64,    /* struct json_i64; written as an integer (no "1.0", no "1e3") */
    JSON_BOOL,   /* enum json_bool */
    JSON_OBJECT, /* struct str: the object's text, compact; max = bytes */
    JSON_ARRAY,  /* struct str: the array's text, compact */
    JSON_ANY,    /* struct str: any value's text, compact */
    JSON_NUMBER, /* struct str: the number's text as it was written, however long */
};

enum json_bool { JSON_ABSENT = 0, JSON_FALSE, JSON_TRUE };

struct json_i64 {
    bool present;
    int64_t value;
};

enum { JSON_REQUIRED = 1 };

struct json_field {
    const char *name;
    enum json_type type;
    size_t offset; /* in the struct that json_read fills */
    size_t max;    /* bytes of text, or the largest value of a JSON_I64; 0: no bound of its own */
    unsigned flags;
};

/* A body's shape. closed: an unknown field is an error that names it. */
struct json_shape {
    const struct json_field *fields;
    size_t count;
    bool closed;
};

/* clang-format off */
#define JSON_FIELD(T, member, type, max, flags) \
    JSON_FIELD_AS(T, member, #member, type, max, flags)
#define JSON_FIELD_AS(T, member, name, type, max, flags) \
    {(name), (type), offsetof(T, member), (max), (flags)}
/* clang-format on */

/*
 * Reads an object into *out. Absent fields, and fields that are null, stay as they were. Errors
 * (status 400): code "bad_json" for what is not an object, is malformed, has duplicate keys, NUL
 * or a depth over 64; code "validation_failed" naming the field for a wrong type, a missing or an
 * unknown one and for one over its bound; 413 "request_entity_too_large" when the arena's budget
 * or that of a parse (32 MiB of tree) does not hold it. Text is copied into the arena; objects,
 * arrays and numbers as they were written, without the white space between tokens.
 */
MUST_CHECK bool json_read(struct str body, const struct json_shape *shape, void *out,
                          struct arena *a, struct err *e);
/* Well-formed and at most `depth` deep, by the same rules as json_read; any top-level value. */
MUST_CHECK bool json_valid(struct str text, struct err *e);
/*
 * One member of an object's text: *out its compact text (strings decoded when JSON_STR is asked).
 * False without error when it is absent, null, of another type or there twice, when object is not
 * a well-formed object, and over the arena's budget. One pass, no tree.
 */
bool json_get(struct str object, const char *name, enum json_type type, void *out, struct arena *a);
/*
 * Walks the members of an object that json_valid has accepted: *rest starts as its text. *name is
 * decoded, *value as written. False at the end (or when the arena is full).
 */
bool json_next(struct str *rest, struct arena *a, struct str *name, struct str *value);
/* {a} merged with {b} key by key, null in b deleting: the top level only (GoTrue metadata rule). */
MUST_CHECK bool json_merge(struct str a, struct str b, struct arena *arena, struct str *out,
                           struct err *e);

/*
 * Writers. Commas are placed by looking at the byte before, so a buf is all the state there is.
 * Strings are escaped as Go's encoder does (<, >, & as \u003c …, U+2028/2029), which is what
 * GoTrue's clients compare; invalid UTF-8 becomes U+FFFD. Absent strings are null.
 */
void json_put_open(struct buf *b, char bracket);  /* '{' or '[' */
void json_put_close(struct buf *b, char bracket); /* '}' or ']' */
void json_put_key(struct buf *b, const char *name);
void json_put_str(struct buf *b, struct str s);
void json_put_i64(struct buf *b, int64_t v);
void json_put_bool(struct buf *b, bool v);
void json_put_null(struct buf *b);
/* JSON text from PostgreSQL: white space outside strings dropped, <, >, & escaped; absent: null. */
void json_put_raw(struct buf *b, struct str text);
/* RFC 3339 with microseconds and Z. */
void json_put_time(struct buf *b, int64_t wall_us);

/* Key and value in one. */
void json_put_kstr(struct buf *b, const char *name, struct str s);
void json_put_ki64(struct buf *b, const char *name, int64_t v);
void json_put_kbool(struct buf *b, const char *name, bool v);
void json_put_kraw(struct buf *b, const char *name, struct str text);
void json_put_ktime(struct buf *b, const char *name, int64_t wall_us);

#endif
