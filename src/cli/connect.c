/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/connect.h"

bool connect_database(struct settings *s, struct secrets *secrets, struct database *db,
                      struct err *e)
{
    const char *dir = settings_data_dir(s);
    struct run_state r = {0};
    const char *url = s->direct_database_url ? s->direct_database_url : s->database_url;
    if (!url && !run_state_read(dir, &s->memory, &r, e))
        return false;
    if (!url)
        pg_now_forget_environment();
    if (!secrets_load_for_command(s, dir, secrets, e))
        return false;
    return database_open_url(url ? url : r.db_url, db, e);
}
