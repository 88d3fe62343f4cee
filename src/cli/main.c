/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/version.h"
#include "cli/command.h"
#include "runtime/process.h"

enum { REST_MAX = 256 };

static int usage(FILE *to, int status)
{
    fprintf(to, "basalt %s: accounts, authorization and data for an app, in one program.\n\n",
            BASALT_VERSION);
    for (unsigned i = 0; i < command_count; i++)
        fprintf(to, "  basalt %-9s %s\n", command_list[i].name, command_list[i].summary);
    fprintf(to, "\nbasalt COMMAND --help tells more; basalt serve --help lists every setting.\n"
                "First steps: basalt serve, then basalt status in another terminal.\n");
    return status;
}

static const struct command *find(const char *name)
{
    for (unsigned i = 0; i < command_count; i++)
        if (strcmp(command_list[i].name, name) == 0)
            return &command_list[i];
    return NULL;
}

static int help(const struct command *c)
{
    printf("Usage: basalt %s\n\n%s: %s.\n\n%s", c->usage, c->name, c->summary, c->help);
    if (strcmp(c->name, "serve") == 0) {
        printf("\nSettings: flag over environment (BASALT_…) over basalt.conf over default.\n\n");
        config_print_help(&settings_table, false);
    }
    return 0;
}

static bool asks_help(const char *const *rest, int n)
{
    for (int i = 0; i < n && strcmp(rest[i], "--") != 0; i++)
        if (strcmp(rest[i], "--help") == 0 || strcmp(rest[i], "-h") == 0)
            return true;
    return false;
}

/* 0: not the command's own, 1: a flag, 2: a flag that takes the next word. */
static int own_flag(const struct command *c, const char *word)
{
    struct str flag, rest = str_from(c->flags), given = str_from(word);
    for (bool more = rest.n > 0; more;) {
        more = str_cut(rest, ' ', &flag, &rest);
        if (str_eq(flag, given))
            return 1;
        if (flag.n == given.n + 1 && flag.p[given.n] == '=' && str_starts(flag, given))
            return 2;
    }
    return 0;
}

/* The command's own flags to the back of its words, the settings' to the front: n of those. */
static int split(const struct command *c, char **words, int n, char **own, int *own_n)
{
    int kept = 0;
    *own_n = 0;
    for (int i = 0; i < n; i++) {
        int takes = own_flag(c, words[i]);
        if (takes == 0)
            words[kept++] = words[i];
        for (int j = 0; j < takes && i + j < n; j++)
            own[(*own_n)++] = words[i + j];
        i += takes == 2;
    }
    return kept;
}

int main(int argc, char **argv)
{
    process_begin();
    if (argc < 2)
        return usage(stderr, 2);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0
        || strcmp(argv[1], "-h") == 0)
        return usage(stdout, 0);
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0)
        return printf("basalt %s (%s)\n", BASALT_VERSION, BASALT_COMMIT) < 0;
    const struct command *c = find(argv[1]);
    if (!c) {
        fprintf(stderr, "basalt: there is no command \"%.40s\"\n\n", argv[1]);
        return usage(stderr, 2);
    }
    const char *rest[2 * REST_MAX];
    char *own[REST_MAX + 1];
    int rest_n = 0, own_n = 0;
    struct settings s;
    struct err e = {0};
    if (argc - 2 > REST_MAX)
        return command_misused(c->name, "too many arguments");
    if (asks_help((const char *const *)argv + 2, argc - 2))
        return help(c);
    int kept = split(c, argv + 2, argc - 2, own, &own_n);
    if (!settings_load(kept, argv + 2, &s, rest, &rest_n, &e))
        return command_fail(&e);
    for (int i = 0; i < own_n; i++)
        rest[rest_n++] = own[i];
    int status = c->run(&s, rest, rest_n);
    settings_close(&s);
    return status;
}
