/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "app/keyring.h"
#include "base/clock.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/connect.h"

enum { CONNECT_MS = 5000 };

/* ---- what there is ---- */

static struct str when(int64_t seconds, struct arena *a)
{
    struct buf b;
    buf_init_arena(&b, a, 64);
    json_put_time(&b, seconds * CLOCK_S);
    struct str quoted = buf_view(&b);
    return str_of(quoted.p + 1, sizeof("2024-01-01T00:00:00") - 1);
}

static enum keyring_state secret_state(const struct keyring *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->keys[i].state == KEYRING_IN_USE)
            return KEYRING_PREVIOUSLY_USED;
    return KEYRING_IN_USE;
}

static void show_ring(const struct keyring *r, struct arena *a)
{
    printf("\n%-36s  %-5s  %-15s  since (UTC)\n", "signing key", "alg", "state");
    printf("%-36s  %-5s  %-15s\n", "JWT secret", "HS256", keyring_state_name(secret_state(r)));
    for (size_t i = 0; i < r->count; i++) {
        const struct keyring_key *k = &r->keys[i];
        printf("%-36.*s  %-5.*s  %-15s  %.*s\n", STR_ARG(k->kid), STR_ARG(k->alg),
               keyring_state_name(k->state), STR_ARG(when(k->changed_s, a)));
    }
}

/* Names, states and times alone: no key's numbers, not even the public ones. */
static void show_ring_json(const struct keyring *r)
{
    struct buf b;
    buf_init(&b, SIZE_MAX);
    json_put_open(&b, '[');
    for (size_t i = 0; i < r->count; i++) {
        const struct keyring_key *k = &r->keys[i];
        json_put_open(&b, '{');
        json_put_kstr(&b, "kid", k->kid);
        json_put_kstr(&b, "alg", k->alg);
        json_put_kstr(&b, "state", str_from(keyring_state_name(k->state)));
        json_put_ktime(&b, "created_at", k->created_s * CLOCK_S);
        json_put_ktime(&b, "changed_at", k->changed_s * CLOCK_S);
        json_put_close(&b, '}');
    }
    json_put_close(&b, ']');
    printf("%.*s\n", STR_ARG(buf_view(&b)));
    buf_free(&b);
}

static void show_api_keys(const struct secrets *k)
{
    printf("anon         %s\nservice_role %s\npublishable  %s\nsecret       %s\n", k->anon_key,
           k->service_role_key, k->publishable_key, k->secret_key);
}

/* ---- changing it ---- */

struct change {
    const char *verb, *word; /* word NULL: not given */
    struct arena *memory;
    struct keyring *ring;
};

static bool change(const struct change *c, struct err *e)
{
    struct str word = str_from(c->word ? c->word : "ES256");
    if (strcmp(c->verb, "create") == 0)
        return keyring_create(c->ring, word, c->memory, e);
    if (strcmp(c->verb, "rotate") == 0)
        return keyring_rotate(c->ring, word, c->memory, e);
    if (strcmp(c->verb, "revoke") == 0)
        return keyring_revoke(c->ring, word, e);
    return keyring_forget(c->ring, word, e);
}

static bool ring_read(struct pg_now *db, const char *sql, struct arena *a, struct keyring *out,
                      struct err *e)
{
    struct pg_result *rows = NULL;
    if (!pg_now_query(db, sql, NULL, 0, &rows, e))
        return false;
    bool ok = keyring_read(pg_row_count(rows) ? pg_row_str(rows, 0, 0) : (struct str){0}, a, out, e);
    pg_now_free(&rows);
    return ok;
}

/* The row is locked before it is read, so that two who rotate at once do it one after the other. */
static bool ring_change(struct pg_now *db, const struct change *c, struct err *e)
{
    struct str text;
    return pg_now_script(db,
                         "begin; insert into basalt.secret (name, value) values ('JWT_KEYS', '{}')"
                         " on conflict (name) do nothing",
                         NULL, e)
           && ring_read(db, "select value from basalt.secret where name = 'JWT_KEYS' for update",
                        c->memory, c->ring, e)
           && change(c, e)
           && pg_now_query(db, "update basalt.secret set value = $1 where name = 'JWT_KEYS'",
                           (text = keyring_text(c->ring, c->memory), &text), 1, NULL, e)
           && pg_now_query(db, "commit", NULL, 0, NULL, e);
}

static bool with_database(struct settings *s, struct secrets *k, const struct change *c,
                          struct err *e)
{
    struct database db;
    if (!connect_database(s, k, &db, e))
        return false;
    CLEANUP(pg_now_close) struct pg_now *conn = NULL;
    bool ok = pg_now_open(db.owner, CONNECT_MS, &conn, e);
    if (ok && strcmp(c->verb, "renew") == 0)
        ok = secrets_renew_keys(settings_data_dir(s), conn, k, e);
    else if (ok && strncmp(c->verb, "list", 4) == 0)
        ok = ring_read(conn, "select value from basalt.secret where name = 'JWT_KEYS'", c->memory,
                       c->ring, e);
    else if (ok)
        ok = ring_change(conn, c, e);
    database_close(&db, true);
    return ok;
}

/* ---- the command ---- */

static const struct verb {
    const char *name;
    int least, most; /* words behind it */
} verbs[] = {
    {"list", 0, 2}, {"renew", 0, 0}, {"create", 1, 1}, {"rotate", 0, 1}, {"revoke", 1, 1}, {"forget", 1, 1},
};

static const struct verb *verb_of(const char **args, int n)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(args[0], verbs[i].name) == 0)
            return n - 1 >= verbs[i].least && n - 1 <= verbs[i].most ? &verbs[i] : NULL;
    return NULL;
}

static int list(struct settings *s, const struct change *c, bool json)
{
    struct secrets k = {0};
    struct err e = {0};
    bool known = with_database(s, &k, c, &e);
    if (!known && (json || e.status != 3)) /* 3: no server; the API keys are in the folder */
        return command_fail(&e);
    if (!known) {
        struct err again = {0};
        secrets_close(&k);
        if (!secrets_load_for_command(s, settings_data_dir(s), &k, &again))
            return command_fail(&again);
    }
    if (json) {
        show_ring_json(c->ring);
    } else {
        show_api_keys(&k);
        if (known)
            show_ring(c->ring, c->memory);
    }
    secrets_close(&k);
    return 0;
}

static int run(struct settings *s, const struct change *c)
{
    struct secrets k = {0};
    struct err e = {0};
    if (!with_database(s, &k, c, &e)) {
        secrets_close(&k);
        return command_fail(&e);
    }
    if (strcmp(c->verb, "renew") == 0)
        show_api_keys(&k);
    else
        show_ring(c->ring, c->memory);
    secrets_close(&k);
    return 0;
}

int key_command(struct settings *s, const char **args, int n)
{
    const char *only[] = {"list"};
    if (n == 0)
        args = only, n = 1;
    const struct verb *v = verb_of(args, n);
    bool json = n == 3 && strcmp(args[1], "-o") == 0 && strcmp(args[2], "json") == 0;
    if (!v || (strcmp(v->name, "list") == 0 && n > 1 && !json))
        return command_misused("key", "it takes list [-o json], create ALG, rotate [ALG], revoke KID, "
                                      "forget KID or renew");
    struct arena memory;
    struct keyring ring = {0};
    arena_init(&memory, SIZE_MAX);
    struct change c = {
        .verb = v->name, .word = n == 2 ? args[1] : NULL, .memory = &memory, .ring = &ring};
    int status = strcmp(v->name, "list") == 0 ? list(s, &c, json) : run(s, &c);
    arena_close(&memory);
    return status;
}
