/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that sign access tokens, as `basalt key` makes and rotates them: one row of basalt.secret
 * (JWT_KEYS), so that every node has the same. At most one is on standby (published, so that
 * verifiers know it before it signs) and at most one in use; those used before go on verifying until
 * they are revoked. While none is in use the JWT secret signs, and it verifies always: the anon and
 * service_role keys are its tokens. No I/O here.
 */
#ifndef APP_KEYRING_H
#define APP_KEYRING_H

#include "app/secrets.h"
#include "guard/guard.h"

enum keyring_state {
    KEYRING_STANDBY,
    KEYRING_IN_USE,
    KEYRING_PREVIOUSLY_USED,
    KEYRING_REVOKED, /* remembered by name; its numbers are gone */
    KEYRING_STATES
};

struct keyring_key {
    struct str kid, alg;
    struct str jwk; /* private, without key_ops; absent when revoked */
    enum keyring_state state;
    int64_t created_s, changed_s; /* wall */
};

enum { KEYRING_MAX = 16 };

struct keyring {
    struct keyring_key keys[KEYRING_MAX];
    size_t count;
};

/* What basalt.secret has; absent: an empty ring. 500 "jwt_key_invalid" for what is no ring. */
MUST_CHECK bool keyring_read(struct str stored, struct arena *a, struct keyring *out, struct err *e);
/* The same way back; secret. */
struct str keyring_text(const struct keyring *r, struct arena *a);
const char *keyring_state_name(enum keyring_state state);

/* A standby key. 400 "key_algorithm"; 409 "key_exists" beside another one, or when the ring is full. */
MUST_CHECK bool keyring_create(struct keyring *r, struct str alg, struct arena *a, struct err *e);
/* The standby key, or a new one, signs from now on. Errors of keyring_create. */
MUST_CHECK bool keyring_rotate(struct keyring *r, struct str alg, struct arena *a, struct err *e);
/* Its tokens stop verifying. 404 "key_not_found"; 409 "key_state" unless it was used before. */
MUST_CHECK bool keyring_revoke(struct keyring *r, struct str kid, struct err *e);
/* Takes a standby or revoked key from the ring. 404 "key_not_found"; 409 "key_state". */
MUST_CHECK bool keyring_forget(struct keyring *r, struct str kid, struct err *e);

/* JWKs for the guard; absent while none is in use or on standby. */
struct str keyring_jwks(const struct keyring *r, struct arena *a);
/* All keys of a server: what the settings say, else what the secrets have. */
MUST_CHECK bool keyring_set(const struct settings *s, const struct secrets *k, struct arena *a,
                            struct guard_keyset *out, struct err *e);

#endif
