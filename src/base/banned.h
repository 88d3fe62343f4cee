/* SPDX-License-Identifier: Apache-2.0 */
/*
 * banned.h: functions this tree never calls, made impossible to call by accident.
 *
 * The build includes this file by force (-include) before every file of src/, so no other file
 * names it. It first includes the headers that declare these functions; only then may the names be
 * poisoned, since poisoning a name that a later system header declares would break that header.
 * Layer: base, no dependencies.
 */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#ifndef __ASSEMBLER__

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* clang with fortified headers has macros for these, and a macro cannot be poisoned. */
#undef sprintf
#undef vsprintf
#undef strcpy
#undef strcat
#undef stpcpy
#undef strncpy
#undef strncat

/* Unbounded copies and formats: use struct buf, struct str or snprintf. */
#pragma GCC poison strcpy strcat sprintf vsprintf gets stpcpy
/* strncpy neither ends its result nor says that it cut: use memcpy or snprintf. */
#pragma GCC poison strncpy strncat
/* State hidden in the library, lost across a fiber switch: use str or gmtime_r. */
#pragma GCC poison strtok gmtime localtime ctime asctime
/* No error report: use the checked parsers of base. */
#pragma GCC poison atoi atol atoll atof
/* Predictable: use base/rand. Macros, since headers of libraries name parameters "rand". */
#define rand()      banned_rand_is_predictable
#define srand(seed) banned_srand_is_predictable

#endif
#endif
