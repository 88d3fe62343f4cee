/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/command.h"
#include "cli/connect.h"
#include "guard/emergency.h"

static const char read_sql[] =
    "select coalesce((select value from basalt.setting where name = 'emergency'), 'off')";
static const char declare_sql[] =
    "insert into basalt.setting (name, value) values ('emergency', $1)"
    " on conflict (name) do update set value = excluded.value returning value";

/* Reads, or writes when there is a word; shows what is then declared. */
static bool ask(struct settings *s, const char *word, struct err *e)
{
    struct secrets k = {0};
    struct database db;
    if (!connect_database(s, &k, &db, e))
        return false;
    CLEANUP(pg_now_close) struct pg_now *c = NULL;
    struct pg_result *r = NULL;
    struct str value = str_from(word);
    bool ok = pg_now_open(db.owner, 5000, &c, e)
              && pg_now_query(c, word ? declare_sql : read_sql, word ? &value : NULL, word != NULL,
                              &r, e);
    if (ok)
        printf("%.*s\n", STR_ARG(pg_row_str(r, 0, 0)));
    pg_now_free(&r);
    database_close(&db, true);
    secrets_close(&k);
    return ok;
}

int emergency_command(struct settings *s, const char **args, int n)
{
    struct err e = {0};
    enum emergency_mode mode;
    if (n > 1 || (n == 1 && !emergency_parse(str_from(args[0]), &mode)))
        return command_misused("emergency", "it takes off, read-only or locked");
    return ask(s, n == 1 ? args[0] : NULL, &e) ? 0 : command_fail(&e);
}
