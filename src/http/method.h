/* SPDX-License-Identifier: Apache-2.0 */
/* Request methods (RFC 9110 §9), one list. */
#ifndef HTTP_METHOD_H
#define HTTP_METHOD_H

#include "base/str.h"

#define METHOD_LIST(X) X(GET) X(HEAD) X(POST) X(PUT) X(PATCH) X(DELETE) X(OPTIONS)

enum method {
    METHOD_NONE, /* well-formed but none of ours */
#define X(name) METHOD_##name,
    METHOD_LIST(X)
#undef X
        METHOD_COUNT
};

enum method method_parse(struct str s); /* case-sensitive */
const char *method_name(enum method m);

#endif
