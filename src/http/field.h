/* SPDX-License-Identifier: Apache-2.0 */
/* Header fields as text, "Name: value\r\n" each (RFC 9110 §5, RFC 5322 §2.2): outgoing HTTP, mail. */
#ifndef HTTP_FIELD_H
#define HTTP_FIELD_H

#include "base/str.h"

/*
 * Takes the first field off *rest, the value without outer white space. False at the end, and when
 * that field is malformed (name no token, a control in the value, no CRLF): *rest is then not empty.
 */
bool field_next(struct str *rest, struct str *name, struct str *value);
/* First value of a name in any case; .p NULL when absent. */
struct str field_get(struct str fields, const char *name);

#endif
