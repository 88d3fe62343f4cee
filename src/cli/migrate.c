/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/migrate.h"

#include <stdio.h>

#include "cli/command.h"
#include "cli/connect.h"

static void report(void *ctx, const char *what, const char *name)
{
    (void)ctx;
    printf("%-8s %s\n", what, name);
}

static const char *target(struct settings *s, struct err *e)
{
    struct run_state r;
    if (s->direct_database_url)
        return s->direct_database_url;
    if (s->database_url)
        return s->database_url;
    return run_state_read(settings_data_dir(s), &s->memory, &r, e) ? r.db_url : NULL;
}

int migrate_command(struct settings *s, const char **args, int n)
{
    bool dry = n == 1 && strcmp(args[0], "--dry-run") == 0;
    if (n > 0 && !dry)
        return command_misused("migrate", "it takes --dry-run and settings only");
    struct err e = {0};
    const char *url = target(s, &e);
    if (!url)
        return command_fail(&e);
    struct migrate_config c = {
        .conninfo = url,
        .app_conninfo = url,
        .app_dir = s->app_migrations,
        .dry_run = dry,
        .report = report,
    };
    struct migrate_state state = {0};
    if (!migrate_run(&c, &state, &e))
        return command_fail(&e);
    if (dry)
        printf("%u pending, %u of them the app's\n", state.pending + state.app_pending,
               state.app_pending);
    else
        printf("%u applied, %u of them the app's\n", state.applied + state.app_applied,
               state.app_applied);
    return 0;
}
