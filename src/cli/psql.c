/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/run_state.h"
#include "base/url.h"
#include "cli/command.h"

enum { ARGUMENTS_MAX = 250 };

/* The password goes into the environment: arguments are everybody's to read. */
static const char *without_password(const char *url, struct arena *a)
{
    struct str scheme, rest, login, place, user, password;
    size_t at;
    if (!str_find(str_from(url), S("://"), &at))
        return url;
    scheme = str_of(url, at);
    rest = str_from_at(str_from(url), at + 3);
    if (!str_cut(rest, '@', &login, &place) || !str_cut(login, ':', &user, &password))
        return url;
    struct str clear = url_decode(a, password, false);
    if (clear.p)
        setenv("PGPASSWORD", arena_cstr(a, clear), 1);
    return arena_printf(a, "%.*s://%.*s@%.*s", STR_ARG(scheme), STR_ARG(user), STR_ARG(place)).p;
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
    argv[1] =
        arena_printf(&s->memory, "--dbname=%s", /* also what begins like an option */
                     without_password(s->database_url ? s->database_url : r.db_url, &s->memory))
            .p;
    execvp("psql", (char *const *)(uintptr_t)argv);
    fprintf(stderr, "basalt: psql cannot be started (%s): install postgresql-client\n",
            strerror(errno));
    return 1;
}
