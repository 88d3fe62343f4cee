/* SPDX-License-Identifier: Apache-2.0 */
/* Lower-case hex out, either case in. */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include "base/str.h"

/* Writes 2 * n characters and a NUL. */
void hex_encode(const void *bytes, size_t n, char *out);
/* s.n must be 2 * n; false on a foreign character. */
bool hex_decode(struct str s, void *out, size_t n);

#endif
