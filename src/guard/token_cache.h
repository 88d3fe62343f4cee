/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verified bearer tokens of one loop, by SHA-256 of their text, until they expire: the signature is
 * checked once, not at every request. Least recently used entries go first. Holds claims, never the
 * token. Named in docs/architecture.md; a change of keys voids it through the epoch.
 */
#ifndef GUARD_TOKEN_CACHE_H
#define GUARD_TOKEN_CACHE_H

#include "guard/principal.h"

struct token_cache;

struct token_digest {
    unsigned char bytes[32];
};

struct token_cache *token_cache_new(size_t entries_max);
void token_cache_free(struct token_cache *c);
/* NULL when unknown, expired or voided. Valid until the next put on this loop: copy what must last. */
const struct principal *token_cache_get(struct token_cache *c, const struct token_digest *d, int64_t now_us);
/*
 * Copies p; nothing happens for tokens that live shorter than a second. generation: of the epochs,
 * read before the keys were that verified it.
 */
void token_cache_put(struct token_cache *c, const struct token_digest *d, const struct principal *p, int64_t now_us,
                     uint32_t generation);

#endif
