/* SPDX-License-Identifier: Apache-2.0 */
#include "app/keyring.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/uuid.h"
#include "crypto/keygen.h"

enum { JWK_BYTES = 8 * 1024 };

static const char *const state_names[KEYRING_STATES] = {
    [KEYRING_STANDBY] = "standby",
    [KEYRING_IN_USE] = "in_use",
    [KEYRING_PREVIOUSLY_USED] = "previously_used",
    [KEYRING_REVOKED] = "revoked",
};

const char *keyring_state_name(enum keyring_state state)
{
    return state_names[state];
}

/* ---- as text: {"<kid>":{"alg":…,"state":…,"created_at":…,"changed_at":…,"jwk":{…}},…} ---- */

struct key_in {
    struct str alg, state, jwk;
    struct json_i64 created_at, changed_at;
};

static const struct json_field key_fields[] = {
    JSON_FIELD(struct key_in, alg, JSON_STR, 16, JSON_REQUIRED),
    JSON_FIELD(struct key_in, state, JSON_STR, 16, JSON_REQUIRED),
    JSON_FIELD(struct key_in, created_at, JSON_I64, INT64_MAX, JSON_REQUIRED),
    JSON_FIELD(struct key_in, changed_at, JSON_I64, INT64_MAX, JSON_REQUIRED),
    JSON_FIELD(struct key_in, jwk, JSON_OBJECT, JWK_BYTES, 0),
};

static const struct json_shape key_shape = {key_fields, sizeof(key_fields) / sizeof(key_fields[0]),
                                            true};

static bool broken(struct err *e)
{
    return err_set(e, 500, "jwt_key_invalid", "JWT_KEYS of basalt.secret is not a ring of keys");
}

static bool key_read(struct str kid, struct str text, struct arena *a, struct keyring_key *out,
                     struct err *e)
{
    struct key_in in = {0};
    struct err ignored = {0}; /* it would name a field, maybe with what is in it */
    if (!json_read(text, &key_shape, &in, a, &ignored))
        return broken(e);
    for (unsigned i = 0; i < KEYRING_STATES; i++)
        if (str_is(in.state, state_names[i]) && (i == KEYRING_REVOKED) == !in.jwk.n) {
            *out = (struct keyring_key){.kid = kid,
                                        .alg = in.alg,
                                        .jwk = in.jwk,
                                        .state = i,
                                        .created_s = in.created_at.value,
                                        .changed_s = in.changed_at.value};
            return true;
        }
    return broken(e);
}

bool keyring_read(struct str stored, struct arena *a, struct keyring *out, struct err *e)
{
    struct keyring r = {0};
    struct err ignored = {0};
    struct str rest = stored, kid, text;
    if (stored.n && (!json_valid(stored, &ignored) || stored.p[0] != '{'))
        return broken(e);
    while (stored.n && json_next(&rest, a, &kid, &text)) {
        if (r.count == KEYRING_MAX || !key_read(kid, text, a, &r.keys[r.count], e))
            return broken(e);
        r.count++;
    }
    *out = r;
    return true;
}

struct str keyring_text(const struct keyring *r, struct arena *a)
{
    struct buf b;
    buf_init_arena(&b, a, SIZE_MAX);
    json_put_open(&b, '{');
    for (size_t i = 0; i < r->count; i++) {
        const struct keyring_key *k = &r->keys[i];
        json_put_key(&b, arena_cstr(a, k->kid));
        json_put_open(&b, '{');
        json_put_kstr(&b, "alg", k->alg);
        json_put_kstr(&b, "state", str_from(state_names[k->state]));
        json_put_ki64(&b, "created_at", k->created_s);
        json_put_ki64(&b, "changed_at", k->changed_s);
        if (k->jwk.n)
            json_put_kraw(&b, "jwk", k->jwk);
        json_put_close(&b, '}');
    }
    json_put_close(&b, '}');
    return buf_view(&b);
}

/* ---- the life of a key ---- */

static struct keyring_key *find_state(struct keyring *r, enum keyring_state state)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->keys[i].state == state)
            return &r->keys[i];
    return NULL;
}

static struct keyring_key *find_kid(struct keyring *r, struct str kid, struct err *e)
{
    for (size_t i = 0; i < r->count; i++)
        if (str_eq(r->keys[i].kid, kid))
            return &r->keys[i];
    err_set(e, 404, "key_not_found", "there is no key %.*s", STR_ARG(kid));
    return NULL;
}

static void enter(struct keyring_key *k, enum keyring_state state)
{
    k->state = state;
    k->changed_s = clock_wall_us() / CLOCK_S;
}

bool keyring_create(struct keyring *r, struct str alg, struct arena *a, struct err *e)
{
    if (find_state(r, KEYRING_STANDBY))
        return err_set(e, 409, "key_exists", "there is a standby key: rotate to it, or forget it");
    if (r->count == KEYRING_MAX)
        return err_set(e, 409, "key_exists", "there are %d keys: revoke and forget old ones",
                       KEYRING_MAX);
    struct uuid kid = uuid_v4();
    struct buf jwk;
    buf_init_arena(&jwk, a, JWK_BYTES);
    if (!keygen_jwk(alg, uuid_str(&kid), &jwk, e))
        return false;
    struct keyring_key *k = &r->keys[r->count++];
    *k = (struct keyring_key){.kid = arena_str(a, uuid_str(&kid)),
                              .alg = arena_str(a, alg),
                              .jwk = buf_view(&jwk),
                              .created_s = clock_wall_us() / CLOCK_S};
    enter(k, KEYRING_STANDBY);
    return true;
}

bool keyring_rotate(struct keyring *r, struct str alg, struct arena *a, struct err *e)
{
    if (!find_state(r, KEYRING_STANDBY) && !keyring_create(r, alg, a, e))
        return false;
    struct keyring_key *former = find_state(r, KEYRING_IN_USE);
    if (former)
        enter(former, KEYRING_PREVIOUSLY_USED);
    enter(find_state(r, KEYRING_STANDBY), KEYRING_IN_USE);
    return true;
}

bool keyring_revoke(struct keyring *r, struct str kid, struct err *e)
{
    struct keyring_key *k = find_kid(r, kid, e);
    if (!k)
        return false;
    if (k->state != KEYRING_PREVIOUSLY_USED)
        return err_set(e, 409, "key_state", "key %.*s is %s: only one used before can be revoked",
                       STR_ARG(kid), state_names[k->state]);
    k->jwk = (struct str){0};
    enter(k, KEYRING_REVOKED);
    return true;
}

bool keyring_forget(struct keyring *r, struct str kid, struct err *e)
{
    struct keyring_key *k = find_kid(r, kid, e);
    if (!k)
        return false;
    if (k->state != KEYRING_REVOKED && k->state != KEYRING_STANDBY)
        return err_set(e, 409, "key_state", "key %.*s is %s: revoke it first", STR_ARG(kid),
                       state_names[k->state]);
    size_t at = (size_t)(k - r->keys);
    memmove(k, k + 1, (r->count - at - 1) * sizeof(*k));
    r->count--;
    return true;
}

/* ---- for the guard ---- */

static const char *const operations[KEYRING_STATES] = {
    [KEYRING_STANDBY] = "verify",
    [KEYRING_IN_USE] = "sign",
    [KEYRING_PREVIOUSLY_USED] = "verify",
};

struct str keyring_jwks(const struct keyring *r, struct arena *a)
{
    struct buf b;
    buf_init_arena(&b, a, SIZE_MAX);
    for (size_t i = 0; i < r->count; i++) {
        const struct keyring_key *k = &r->keys[i];
        if (k->state == KEYRING_REVOKED)
            continue;
        buf_char(&b, b.n ? ',' : '[');
        buf_printf(&b, "{\"key_ops\":[\"%s\"],", operations[k->state]);
        buf_str(&b, str_from_at(k->jwk, 1));
    }
    if (!b.n)
        return (struct str){0};
    buf_char(&b, ']');
    return buf_view(&b);
}

bool keyring_set(const struct settings *s, const struct secrets *k, struct arena *a,
                 struct guard_keyset *out, struct err *e)
{
    struct keyring ring = {0};
    if (!s->jwt_keys && !keyring_read(str_from(k->jwt_keys), a, &ring, e))
        return false;
    *out = (struct guard_keyset){
        .jwt_secret = str_from(k->jwt_secret),
        .jwt_keys = s->jwt_keys ? str_from(s->jwt_keys) : keyring_jwks(&ring, a),
        .secret_may_sign = !s->jwt_keys,
        .key_id = str_from(s->jwt_key_id),
        .algorithms = str_from(s->jwt_valid_methods),
        .anon_key = str_from(k->anon_key),
        .service_key = str_from(k->service_role_key),
        .publishable_key = str_from(k->publishable_key),
        .secret_key = str_from(k->secret_key),
    };
    return true;
}
