/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/suggest.h"

enum {
    WORD_MAX = 64, /* no name of ours is as long; longer ones are compared by prefix only */
    NEAR = 2,
    PREFIX_MIN = 3, /* fewer letters say nothing */
    PREFIX_RANK = NEAR + 1,
    FAR = PREFIX_RANK + 1,
};

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/*
 * Insertions, deletions, substitutions and swaps of neighbours that make b of a (optimal string
 * alignment), by rows: before[j] and last[j] are those of the two rows above.
 */
static unsigned distance(struct str a, struct str b)
{
    unsigned rows[3][WORD_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];
    for (unsigned j = 0; j <= b.n; j++)
        last[j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        now[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned change = last[j - 1] + (a.p[i - 1] != b.p[j - 1]);
            now[j] = least(change, least(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
                now[j] = least(now[j], before[j - 2] + 1);
        }
        unsigned *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b.n];
}

static unsigned rank_of(struct str typed, struct str word)
{
    size_t shorter = typed.n < word.n ? typed.n : word.n;
    if (typed.n <= WORD_MAX && word.n <= WORD_MAX) {
        unsigned d = distance(typed, word);
        if (d <= (shorter <= PREFIX_MIN ? 1 : NEAR))
            return d;
    }
    bool prefix = str_starts(typed, word) || str_starts(word, typed);
    return prefix && shorter >= PREFIX_MIN ? PREFIX_RANK : FAR;
}

struct suggest suggest_begin(struct str typed)
{
    return (struct suggest){.typed = typed, .rank = FAR};
}

void suggest_offer(struct suggest *s, struct str word)
{
    unsigned rank = rank_of(s->typed, word);
    if (rank >= s->rank)
        return;
    s->rank = rank;
    s->best = word;
}
