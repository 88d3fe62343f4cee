/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "app/run_state.h"
#include "app/secrets.h"
#include "base/json.h"
#include "cli/command.h"

struct pair {
    const char *name, *value;
};

enum format { FORMAT_TEXT, FORMAT_ENV, FORMAT_JSON };

static void put_json(const struct pair *pairs, size_t n)
{
    struct buf b;
    buf_init(&b, 64 * 1024);
    json_put_open(&b, '{');
    for (size_t i = 0; i < n; i++)
        json_put_kstr(&b, pairs[i].name, str_from(pairs[i].value));
    json_put_close(&b, '}');
    printf("%.*s\n", STR_ARG(buf_view(&b)));
    buf_free(&b);
}

static void put(enum format format, const struct pair *pairs, size_t n)
{
    if (format == FORMAT_JSON) {
        put_json(pairs, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        printf(format == FORMAT_ENV ? "%s=\"%s\"\n" : "%-22s %s\n", pairs[i].name, pairs[i].value);
}

static bool format_of(const char **args, int n, enum format *out)
{
    *out = FORMAT_TEXT;
    if (n == 0)
        return true;
    if (n != 2 || (strcmp(args[0], "-o") != 0 && strcmp(args[0], "--output") != 0))
        return false;
    *out = strcmp(args[1], "json") == 0 ? FORMAT_JSON : FORMAT_ENV;
    return *out == FORMAT_JSON || strcmp(args[1], "env") == 0;
}

int status_command(struct settings *s, const char **args, int n)
{
    enum format format;
    if (!format_of(args, n, &format))
        return command_misused("status", "-o takes env or json");
    const char *dir = settings_data_dir(s);
    struct run_state r;
    struct secrets k;
    struct err e = {0};
    if (!run_state_read(dir, &s->memory, &r, &e) || !secrets_load_for_command(s, dir, &k, &e))
        return command_fail(&e);
    const struct pair pairs[] = {
        {"API_URL", r.api_url},
        {"ADMIN_URL", r.admin_url},
        {"DB_URL", r.db_url},
        {"ANON_KEY", k.anon_key},
        {"SERVICE_ROLE_KEY", k.service_role_key},
        {"PUBLISHABLE_KEY", k.publishable_key},
        {"SECRET_KEY", k.secret_key},
        {"JWT_SECRET", k.jwt_secret},
        /* the seed documents' names */
        {"SUPABASE_URL", r.api_url},
        {"SUPABASE_KEY", k.anon_key},
        {"SUPABASE_SERVICE_KEY", k.service_role_key},
    };
    put(format, pairs, sizeof(pairs) / sizeof(pairs[0]));
    secrets_close(&k);
    return 0;
}
