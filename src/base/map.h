/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash map from byte strings to pointers, open addressing, keyed SipHash so that clients cannot
 * choose collisions. Keys are not copied: they live as long as their entry (usually inside the
 * value). One thread at a time.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/str.h"

struct map_slot;

struct map {
    struct map_slot *slots;
    size_t cap; /* a power of two, at most three quarters taken */
    size_t live;
};

void map_init(struct map *m);
/* Frees the table, not the values. */
void map_close(struct map *m);
/* NULL when absent. */
void *map_get(const struct map *m, struct str key);
/* Replaces; gives back the former value or NULL. */
void *map_put(struct map *m, struct str key, void *value);
/* Gives back what was there or NULL. */
void *map_remove(struct map *m, struct str key);
/*
 * Walks in no order: *cursor starts at 0; NULL at the end. Removing the entry just given is
 * allowed (see map.c why nothing is then missed or given twice); putting is not.
 */
void *map_next(const struct map *m, size_t *cursor);
/* SipHash-2-4 under the process's random key; also for epochs and sharding. */
uint64_t map_hash(struct str key);

#endif
