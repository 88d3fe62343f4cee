/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/errand.h"

#include <unistd.h>

#include "app/server_main.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/connect.h"
#include "pg/pg_tx.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"

enum { ARENA_BUDGET = 64 * 1024 * 1024, TIME_LIMIT_S = 60, CLOSE_MS = 1000 };

static void errand_fiber(void *arg)
{
    struct errand *j = arg;
    fiber_set_deadline(clock_mono_us() + TIME_LIMIT_S * CLOCK_S);
    j->ok = j->run(j);
    pg_pool_close_all(CLOSE_MS); /* on the loop, so that it has nothing left to wait for */
    loop_stop_all();
}

static void errand_start(void *arg)
{
    fiber_start(errand_fiber, arg);
}

static bool errand_on_loop(struct settings *s, struct errand *j, struct services *services,
                           const struct database *db)
{
    struct arena arena;
    arena_init(&arena, ARENA_BUDGET);
    struct pg_client client = {.arena = &arena};
    struct req req = {
        .arena = &arena,
        .services = services,
        .pg = &client,
        .now_us = clock_wall_us(),
        .user_agent = str_from(j->agent),
    };
    trace_request_id((struct str){0}, req.id);
    j->req = &req;
    j->settings = s;
    bool open = server_main_pool(s, db, 1, 1, &j->e);
    if (open) {
        loop_post(loop_at(0), errand_start, j);
        loop_run_all();
        pg_pool_close_all(CLOSE_MS);
    }
    arena_wipe(&arena); /* passwords */
    arena_close(&arena);
    return open && j->ok;
}

bool errand_run(struct settings *s, struct errand *j)
{
    struct secrets secrets;
    struct database db;
    struct services services;
    log_open(STDERR_FILENO, LOG_WARN, LOG_TEXT); /* the audit rows tell what was done */
    if (!connect_database(s, &secrets, &db, &j->e))
        return false;
    bool ok =
        loop_create_all(1, &j->e) && database_prepare(s, NULL, false, &secrets, &db, &j->e)
        && server_main_services(s, s->api_url ? s->api_url : "", &secrets, &db, &services, &j->e);
    if (ok) {
        ok = errand_on_loop(s, j, &services, &db);
        server_main_services_close(&services);
    }
    database_close(&db, true);
    secrets_close(&secrets);
    return ok;
}
