/* SPDX-License-Identifier: Apache-2.0 */
/* URL pieces: percent coding (RFC 3986 §2.1), queries and forms (WHATWG URL §5.1). */
#ifndef BASE_URL_H
#define BASE_URL_H

#include "base/buf.h"

/* Decodes %XX (and '+' as a space when plus is set). .p is NULL on a bad escape, NUL or invalid UTF-8. */
struct str url_decode(struct arena *a, struct str s, bool plus);
/* Escapes all but unreserved characters. */
void url_encode(struct buf *b, struct str s);
/* First value of a name in a query string, decoded; .p is NULL when absent or malformed. */
struct str url_query_get(struct arena *a, struct str query, const char *name);
/*
 * Walks name=value pairs, both decoded: start with *rest = query; false at the end. What is
 * malformed has .p NULL; a name without '=' has an empty value; empty pieces are passed over.
 */
bool url_query_next(struct arena *a, struct str *rest, struct str *name, struct str *value);
/*
 * Pieces of an absolute URL with an authority (scheme://…), not decoded; .p of userinfo, query and
 * fragment is NULL when absent. host may be empty, and is without brackets for IPv6. False when it
 * is not one, and for controls, spaces and other characters that RFC 3986 gives no place.
 */
struct url_parts {
    struct str scheme, userinfo, host, path, query, fragment;
    int port; /* -1 when absent */
};
bool url_parse(struct str s, struct url_parts *out);

#endif
