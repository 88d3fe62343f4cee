/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/jobs.h"

#include "jobs/jobs_sql.h"

void jobs_add(struct pg_tx *tx, const char *kind, struct str payload, int64_t run_at_us)
{
    pg_tx_add(tx, &job_insert_sql, PG_ARGS(str_from(kind), payload, pg_tx_time(tx, run_at_us)));
}
