/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns over URLs as GoTrue's redirect allow-list has them (auth.md §6.6): `*` a run without the
 * separators '.' and '/', `**` any run, `?` one character that is no separator, `[abc]` `[a-z]` `[!abc]`,
 * `{a,b}`, `\` escapes. Time grows with the product of both lengths, never faster.
 */
#ifndef BASE_GLOB_H
#define BASE_GLOB_H

#include "base/str.h"

enum { GLOB_PATTERN_MAX = 2048, GLOB_TEXT_MAX = 2048 };

/* The whole text. False for what is longer than the bounds, malformed, or has over 256 alternatives or 16 braces. */
bool glob_match(struct str pattern, struct str text);

#endif
