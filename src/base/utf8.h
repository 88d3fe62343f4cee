/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 (RFC 3629): no overlong forms, no surrogates, at most U+10FFFF. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/str.h"

bool utf8_valid(struct str s);
/* Bytes of the well-formed sequence at byte `at`; 0 when there is none, and at the end. */
size_t utf8_next(struct str s, size_t at);
/* Code points; s must be valid. */
size_t utf8_length(struct str s);

#endif
