/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's random numbers (getrandom), buffered a thread; never fails, safe across fork. */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include "base/str.h"

void rand_bytes(void *out, size_t n);
uint64_t rand_u64(void);
/* Uniform in [0, bound), bound > 0. */
uint32_t rand_below(uint32_t bound);
/* n characters of the alphabet (at most 256 long), uniform, and a NUL. */
void rand_text(char *out, size_t n, struct str alphabet);

#endif
