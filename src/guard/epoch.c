/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/epoch.h"

#include <stdatomic.h>

#include "base/map.h"

/* 64 Ki counters of 4 bytes: with 10,000 live users a bump voids about 0.15 neighbours. */
enum { EPOCH_SLOTS = 1 << 16 };

static _Atomic uint32_t slots[EPOCH_SLOTS];
static _Atomic uint32_t generation;

static _Atomic uint32_t *slot_of(struct str id)
{
    return &slots[map_hash(id) % EPOCH_SLOTS];
}

struct epoch epoch_of(struct str id)
{
    return (struct epoch){.all = atomic_load(&generation), .one = atomic_load(slot_of(id))};
}

bool epoch_stands(struct str id, struct epoch then)
{
    return then.all == atomic_load_explicit(&generation, memory_order_acquire)
           && then.one == atomic_load_explicit(slot_of(id), memory_order_acquire);
}

void epoch_bump(struct str id)
{
    atomic_fetch_add(slot_of(id), 1);
}

void epoch_bump_all(void)
{
    atomic_fetch_add(&generation, 1);
}
