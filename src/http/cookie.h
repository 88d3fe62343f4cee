/* SPDX-License-Identifier: Apache-2.0 */
/* The Cookie request field (RFC 6265 §4.2). */
#ifndef HTTP_COOKIE_H
#define HTTP_COOKIE_H

#include "base/str.h"

/* Value of the first cookie of that name; absent when there is none. */
struct str cookie_get(struct str field, struct str name);

#endif
