/* SPDX-License-Identifier: Apache-2.0 */
#include "guard/epoch.h"

#include <stdatomic.h>

#include "base/map.h"

/* 64 Ki counters of 4 bytes: with 10,000 live users a bump voids about 0.15 neighbours. */
enum { EPOCH_SLOTS = 1 << 16 };

static _Atomic uint32_t slots[EPOCH_SLOTS];
static _Atomic uint32_t generation;

static uint32_t slot_of(struct str id)
{
    return (uint32_t)(map_hash(id) % EPOCH_SLOTS);
}

uint32_t epoch_generation(void)
{
    return atomic_load_explicit(&generation, memory_order_acquire);
}

struct epoch epoch_of(struct str id)
{
    uint32_t slot = slot_of(id);
    return (struct epoch){
        .all = atomic_load(&generation), .one = atomic_load(&slots[slot]), .slot = slot};
}

bool epoch_stands(struct epoch then)
{
    return then.all == epoch_generation()
           && then.one == atomic_load_explicit(&slots[then.slot], memory_order_acquire);
}

void epoch_bump(struct str id)
{
    atomic_fetch_add(&slots[slot_of(id)], 1);
}

void epoch_bump_all(void)
{
    atomic_fetch_add(&generation, 1);
}
