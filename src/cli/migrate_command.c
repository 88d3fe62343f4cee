/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/migrate.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/command.h"
#include "cli/connect.h"

static void report(void *ctx, const char *what, const char *name)
{
    (void)ctx;
    printf("%-8s %s\n", what, name);
}

static bool count(struct settings *s, const char *url, struct migrate_state *out, struct err *e)
{
    struct migrate_config c = {
        .conninfo = url,
        .app_conninfo = url,
        .app_dir = s->app_migrations,
        .dry_run = true,
        .report = report,
    };
    return migrate_run(&c, out, e);
}

/* The same way as a server that starts with --migrate, so that logins get their passwords too. */
static bool apply(struct settings *s, struct secrets *secrets, struct database *db, struct err *e)
{
    return database_prepare(s, NULL, true, secrets, db, e);
}

int migrate_command(struct settings *s, const char **args, int n)
{
    bool dry = n == 1 && strcmp(args[0], "--dry-run") == 0;
    if (n > 0 && !dry)
        return command_misused("migrate", "it takes --dry-run and settings only");
    struct err e = {0};
    struct secrets secrets;
    struct database db;
    struct migrate_state state = {0};
    if (!connect_database(s, &secrets, &db, &e))
        return command_fail(&e);
    log_open(STDERR_FILENO, LOG_INFO, LOG_TEXT);
    bool ok = count(s, db.owner, &state, &e) && (dry || apply(s, &secrets, &db, &e));
    database_close(&db, true);
    secrets_close(&secrets);
    log_close(1000);
    if (!ok)
        return command_fail(&e);
    printf("%u %s, %u of them the app's\n", state.pending + state.app_pending,
           dry ? "pending" : "applied", state.app_pending);
    return 0;
}
