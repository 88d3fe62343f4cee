/* SPDX-License-Identifier: Apache-2.0 */
#include "app/secrets.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/hex.h"
#include "base/rand.h"
#include "base/secret.h"
#include "crypto/jwt.h"
#include "runtime/file.h"

enum { FILE_MAX = 64 * 1024, RANDOM_MAX = 32, API_KEY_LIFE_S = 10 * 365 * 86400 };

struct secret_row {
    const char *name;
    size_t offset;
    size_t bytes;
};

static const struct secret_row rows[] = {
#define X(member, name, bytes) {name, offsetof(struct secrets, member), bytes},
    SECRETS_LIST(X)
#undef X
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static const char **slot(struct secrets *s, size_t row)
{
    return (const char **)(void *)((char *)s + rows[row].offset);
}

static const char *value(const struct secrets *s, size_t row)
{
    return *(const char *const *)(const void *)((const char *)s + rows[row].offset);
}

static const char *path_of(struct arena *a, const char *dir)
{
    return arena_printf(a, "%s/secrets.env", dir).p;
}

void secrets_close(struct secrets *s)
{
    for (size_t i = 0; i < ROWS; i++) {
        const char **p = slot(s, i);
        if (*p)
            secret_wipe_bytes((char *)(uintptr_t)*p, strlen(*p));
        *p = NULL;
    }
    arena_close(&s->memory);
}

/* ---- file -------------------------------------------------------------------------------- */

static void set(struct secrets *s, struct str name, struct str text)
{
    for (size_t i = 0; i < ROWS; i++)
        if (str_is(name, rows[i].name) && text.n)
            *slot(s, i) = arena_cstr(&s->memory, text);
}

static bool read_file(const char *dir, struct secrets *out, struct err *e)
{
    struct secrets s = {0};
    arena_init(&s.memory, SIZE_MAX);
    struct buf file;
    buf_init(&file, FILE_MAX);
    if (!file_now_read(path_of(&s.memory, dir), FILE_MAX, &file, e)) {
        arena_close(&s.memory);
        return false;
    }
    struct str rest = buf_view(&file), line, name, text;
    for (bool more = true; more;) {
        more = str_cut(rest, '\n', &line, &rest);
        if (str_cut(line, '=', &name, &text))
            set(&s, name, str_trim(text));
    }
    secret_wipe_bytes(file.p, file.n);
    buf_free(&file);
    *out = s;
    return true;
}

static bool write_file(const char *dir, struct secrets *s, struct err *e)
{
    if (!dir)
        return true;
    struct buf b;
    buf_init(&b, FILE_MAX);
    BUF_LIT(&b, "# Made by basalt. Whoever reads this file can do everything to this project.\n");
    for (size_t i = 0; i < ROWS; i++)
        if (value(s, i))
            buf_printf(&b, "%s=%s\n", rows[i].name, value(s, i));
    bool ok = file_now_write(path_of(&s->memory, dir), buf_view(&b), 0600, e);
    secret_wipe_bytes(b.p, b.n);
    buf_free(&b);
    return ok;
}

/* ---- making them -------------------------------------------------------------------------- */

static const char *random_text(struct arena *a, size_t bytes)
{
    unsigned char raw[RANDOM_MAX];
    char hex[2 * RANDOM_MAX + 1];
    rand_bytes(raw, bytes);
    hex_encode(raw, bytes, hex);
    const char *text = arena_cstr(a, str_from(hex));
    secret_wipe_bytes(raw, sizeof(raw));
    secret_wipe_bytes(hex, sizeof(hex));
    return text;
}

static const char *new_style_key(struct arena *a, const char *prefix)
{
    char random[33];
    rand_text(random, 32, S("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"));
    return arena_printf(a, "%s%s", prefix, random).p;
}

static bool sign_role(const struct jwt_keys *keys, const char *role, struct arena *a,
                      const char **out, struct err *e)
{
    int64_t now = clock_wall_us() / CLOCK_S;
    struct buf token;
    buf_init_arena(&token, a, 4096);
    struct str claims = arena_printf(
        a, "{\"iss\":\"supabase\",\"ref\":\"basalt\",\"role\":\"%s\",\"iat\":%lld,\"exp\":%lld}",
        role, (long long)now, (long long)now + API_KEY_LIFE_S);
    if (!jwt_sign(keys, claims, &token, e))
        return false;
    *out = arena_cstr(a, buf_view(&token));
    return true;
}

static bool signed_by(const struct jwt_keys *keys, const char *token, struct arena *a)
{
    struct jwt_check check = {.now_us = clock_wall_us(), .allow_no_exp = true};
    struct str claims;
    struct err ignored = {0};
    return token && jwt_verify(keys, str_from(token), &check, a, &claims, &ignored);
}

/* A key that the secret in force did not sign belongs to a former secret: it is made anew. */
static bool derive_keys(struct secrets *s, bool anon_given, bool service_given, bool *made,
                        struct err *e)
{
    struct jwt_keys *keys;
    if (!jwt_keys_from_secret(str_from(s->jwt_secret), (struct str){0}, &keys, e))
        return false;
    bool ok = true;
    if (!anon_given && !signed_by(keys, s->anon_key, &s->memory)) {
        ok = sign_role(keys, "anon", &s->memory, &s->anon_key, e);
        *made = true;
    }
    if (ok && !service_given && !signed_by(keys, s->service_role_key, &s->memory)) {
        ok = sign_role(keys, "service_role", &s->memory, &s->service_role_key, e);
        *made = true;
    }
    jwt_keys_free(keys);
    return ok;
}

struct given {
    const char *text;
    size_t offset;
};

enum { GIVEN = 5 };

/* What the settings say, which is used but kept nowhere. */
static void given_of(const struct settings *s, struct given out[GIVEN])
{
    out[0] = (struct given){s->jwt_secret, offsetof(struct secrets, jwt_secret)};
    out[1] = (struct given){s->anon_key, offsetof(struct secrets, anon_key)};
    out[2] = (struct given){s->service_role_key, offsetof(struct secrets, service_role_key)};
    out[3] = (struct given){s->publishable_key, offsetof(struct secrets, publishable_key)};
    out[4] = (struct given){s->secret_key, offsetof(struct secrets, secret_key)};
}

static bool is_given(const struct settings *s, size_t offset)
{
    struct given g[GIVEN];
    given_of(s, g);
    for (size_t i = 0; i < GIVEN; i++)
        if (g[i].offset == offset && g[i].text)
            return true;
    return false;
}

static void take_given(const struct settings *settings, struct secrets *s)
{
    struct given g[GIVEN];
    given_of(settings, g);
    for (size_t i = 0; i < GIVEN; i++)
        if (g[i].text)
            *(const char **)(void *)((char *)s + g[i].offset) =
                arena_cstr(&s->memory, str_from(g[i].text));
}

/* Fills what is missing; *made when the file has to be written. */
static bool complete(const struct settings *settings, struct secrets *s, bool *made, struct err *e)
{
    take_given(settings, s);
    for (size_t i = 0; i < ROWS; i++) {
        if (value(s, i) || rows[i].bytes == 0)
            continue;
        *slot(s, i) = random_text(&s->memory, rows[i].bytes);
        *made = true;
    }
    if (!s->publishable_key || !s->secret_key)
        *made = true;
    if (!s->publishable_key)
        s->publishable_key = new_style_key(&s->memory, "sb_publishable_");
    if (!s->secret_key)
        s->secret_key = new_style_key(&s->memory, "sb_secret_");
    return derive_keys(s, settings->anon_key, settings->service_role_key, made, e);
}

static bool load(const struct settings *settings, const char *dir, bool keep, struct secrets *out,
                 struct err *e)
{
    struct secrets s = {0};
    bool made = false;
    if (!read_file(dir, &s, e)) {
        if (e->status != 404)
            return false;
        err_clear(e);
        arena_init(&s.memory, SIZE_MAX);
    }
    if (!complete(settings, &s, &made, e) || (made && !write_file(keep ? dir : NULL, &s, e))) {
        secrets_close(&s);
        return false;
    }
    *out = s;
    return true;
}

bool secrets_load(const struct settings *settings, const char *dir, struct secrets *out,
                  struct err *e)
{
    return load(settings, dir, true, out, e);
}

bool secrets_load_for_command(const struct settings *settings, const char *dir, struct secrets *out,
                              struct err *e)
{
    return load(settings, dir, false, out, e);
}

/* ---- the database ------------------------------------------------------------------------- */

static bool sync_one(struct pg_now *db, struct secrets *s, size_t row, bool *changed, struct err *e)
{
    struct str args[] = {str_from(rows[row].name), str_from(value(s, row))};
    struct pg_result *r = NULL;
    if ((args[1].p
         && !pg_now_query(
             db,
             "insert into basalt.secret (name, value) values ($1, $2) on conflict (name) do nothing",
             args, 2, NULL, e))
        || !pg_now_query(db, "select value from basalt.secret where name = $1", args, 1, &r, e))
        return false;
    struct str theirs = pg_row_count(r) ? pg_row_str(r, 0, 0) : (struct str){0};
    if (theirs.n && (!args[1].p || !str_eq(theirs, args[1]))) {
        *slot(s, row) = arena_cstr(&s->memory, theirs);
        *changed = true;
    }
    pg_now_free(&r);
    return true;
}

bool secrets_sync(const struct settings *settings, const char *dir, struct pg_now *db,
                  struct secrets *s, struct err *e)
{
    bool changed = false;
    for (size_t i = 0; i < ROWS; i++) {
        bool local = is_given(settings, rows[i].offset)
                     || rows[i].offset == offsetof(struct secrets, db_admin);
        if (!local && !sync_one(db, s, i, &changed, e))
            return false;
    }
    return derive_keys(s, settings->anon_key, settings->service_role_key, &changed, e)
           && (!changed || write_file(dir, s, e));
}

bool secrets_renew_keys(const char *dir, struct pg_now *db, struct secrets *s, struct err *e)
{
    s->publishable_key = new_style_key(&s->memory, "sb_publishable_");
    s->secret_key = new_style_key(&s->memory, "sb_secret_");
    const struct {
        const char *name, *text;
    } renewed[] = {{"PUBLISHABLE_KEY", s->publishable_key}, {"SECRET_KEY", s->secret_key}};
    for (size_t i = 0; i < 2; i++) {
        struct str args[] = {str_from(renewed[i].name), str_from(renewed[i].text)};
        if (!pg_now_query(db,
                          "insert into basalt.secret (name, value) values ($1, $2) "
                          "on conflict (name) do update set value = excluded.value",
                          args, 2, NULL, e))
            return false;
    }
    return write_file(dir, s, e);
}
