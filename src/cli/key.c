/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/command.h"
#include "cli/connect.h"

static void show(const struct secrets *k)
{
    printf("anon         %s\nservice_role %s\npublishable  %s\nsecret       %s\n", k->anon_key,
           k->service_role_key, k->publishable_key, k->secret_key);
}

static bool renew(struct settings *s, struct secrets *k, struct err *e)
{
    struct database db;
    if (!connect_database(s, k, &db, e))
        return false;
    CLEANUP(pg_now_close) struct pg_now *c = NULL;
    bool ok =
        pg_now_open(db.owner, 5000, &c, e) && secrets_renew_keys(settings_data_dir(s), c, k, e);
    database_close(&db, true);
    return ok;
}

int key_command(struct settings *s, const char **args, int n)
{
    struct secrets k = {0};
    struct err e = {0};
    bool list = n == 0 || (n == 1 && strcmp(args[0], "list") == 0);
    bool again = n == 1 && strcmp(args[0], "renew") == 0;
    if (!list && !again)
        return command_misused("key", "it takes list or renew");
    if (list ? !secrets_load_for_command(s, settings_data_dir(s), &k, &e) : !renew(s, &k, &e))
        return command_fail(&e);
    show(&k);
    secrets_close(&k);
    if (again)
        printf("restart servers to use the new keys; the former sb_ keys then stop working\n");
    return 0;
}
