/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/journal.h"

#include "base/err.h"
#include "base/ring.h"
#include "ops/metrics.h"

/* About a second of a thousand events while a disk is slow to sync. */
enum { RING_BYTES = 512 * 1024 };

static _Alignas(RING_PAGE) unsigned char ring_bytes[RING_BYTES];
static struct ring ring = RING_INIT(ring_bytes);

bool journal_push(struct str record)
{
    BUG(record.n == 0 || record.n > JOURNAL_RECORD_MAX);
    if (ring_push(&ring, record.p, record.n))
        return true;
    metrics_add(METRIC_audit_dropped, 0, 1);
    return false;
}
