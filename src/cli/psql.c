/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/run_state.h"
#include "cli/command.h"
#include "pg/pg_now.h"

enum { ARGUMENTS_MAX = 250 };

/* The password goes into the environment: arguments are everybody's to read. */
static bool conninfo_shown(const char *conninfo, struct arena *a, const char **out, struct err *e)
{
    struct str password;
    if (!pg_now_without_password(conninfo, a, out, &password, e))
        return false;
    if (password.n)
        setenv("PGPASSWORD", password.p, 1);
    return true;
}

int psql_command(struct settings *s, const char **args, int n)
{
    struct run_state r;
    struct err e = {0};
    const char *argv[ARGUMENTS_MAX + 3] = {"psql"};
    int used = 2; /* argv[1] is the database */
    if (n > ARGUMENTS_MAX)
        return command_misused("psql", "too many arguments");
    if (!s->database_url && !run_state_read(settings_data_dir(s), &s->memory, &r, &e))
        return command_fail(&e);
    for (int i = 0; i < n; i++)
        if (i > 0 || strcmp(args[i], "--") != 0)
            argv[used++] = args[i];
    const char *conninfo;
    if (!conninfo_shown(s->database_url ? s->database_url : r.db_url, &s->memory, &conninfo, &e))
        return command_fail(&e);
    argv[1] =
        arena_printf(&s->memory, "--dbname=%s", conninfo).p; /* also what begins like an option */
    execvp("psql", (char *const *)(uintptr_t)argv);
    fprintf(stderr, "basalt: psql cannot be started (%s): install postgresql-client\n",
            strerror(errno));
    return 1;
}
