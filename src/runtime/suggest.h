/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "did you mean …?": the known word nearest to a mistyped one. Near is a Damerau-Levenshtein
 * distance of at most 2 (1 for words of three letters or fewer), else one word beginning with the
 * other. Knows nothing but bytes; for settings, commands and flags.
 */
#ifndef RUNTIME_SUGGEST_H
#define RUNTIME_SUGGEST_H

#include "base/str.h"

struct suggest {
    struct str typed;
    struct str best; /* p is NULL when nothing offered was near */
    unsigned rank;
};

struct suggest suggest_begin(struct str typed);
/* Among equally near words the first offered stays. word must outlive s. */
void suggest_offer(struct suggest *s, struct str word);

#endif
