/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "jobs/jobs.h"
#include "runtime/fiber.h"

enum { BATCH = 100 }; /* rows of one statement, as in sql/clean_*.sql: short locks */
static const int64_t spare_us = 5 * CLOCK_S; /* the rest waits for the next time */

/* Rows whose time is over (spec auth.md §4.2). A span of 0 leaves the statement out. */
struct chore {
    const struct pg_sql *sql;
    bool has_span;
    int64_t span_us; /* its one parameter */
};

/* Of one statement, batch by batch, each its own transaction. */
static bool chore_do(struct job *j, const struct chore *c, struct err *e)
{
    size_t gone = BATCH;
    while (gone == BATCH && fiber_time_left_us() > spare_us) {
        CLEANUP(pg_tx_end) struct pg_tx tx = {0};
        if (!pg_tx_single(&tx, j->pg, PG_LOGIN_AUTH, e))
            return false;
        struct str span = pg_tx_i64(&tx, c->span_us);
        pg_tx_add(&tx, c->sql, &span, c->has_span);
        if (!pg_tx_commit(&tx, e))
            return false;
        gone = pg_row_affected(pg_tx_result(&tx, 0));
    }
    return true;
}

bool housekeeping_run(struct job *j, struct err *e)
{
    const struct auth_config *c = auth_settings(((struct services *)j->ctx)->auth);
    const struct chore chores[] = {
        {&clean_refresh_tokens_sql, false, 1},
        {&clean_sessions_sql, false, 1},
        {&clean_timeboxed_sql, true, c->session_timebox_us},
        {&clean_inactive_sql, true, c->session_inactivity_us},
        {&clean_relay_states_sql, false, 1},
        {&clean_flow_states_sql, false, 1},
        {&clean_client_states_sql, false, 1},
        {&clean_challenges_sql, false, 1},
        {&clean_factors_sql, false, 1},
        {&clean_networks_sql, false, 1},
        {&clean_webauthn_sql, false, 1},
        {&clean_anonymous_sql, true, c->anonymous_kept_us},
        {&clean_mail_secrets_sql, false, 1},
        {&clean_mail_jobs_sql, false, 1},
        {&clean_mails_sql, true, c->mail_kept_us},
    };
    bool ok = true;
    for (size_t i = 0; i < sizeof(chores) / sizeof(chores[0]); i++) {
        struct err one = {0};
        if (chores[i].span_us == 0 || chore_do(j, &chores[i], &one))
            continue;
        if (ok) /* the others are done all the same: an app's foreign key may hold users for ever */
            *e = one;
        ok = false;
    }
    return ok;
}
