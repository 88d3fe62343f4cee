/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and passwords: made at first start, kept in DIR/secrets.env (mode 0600) and in
 * basalt.secret, so that every node on one database has the same. What a setting gives is used as
 * it is and never put into the database; otherwise what the database has counts, then the file, then new ones.
 */
#ifndef APP_SECRETS_H
#define APP_SECRETS_H

#include "app/settings.h"
#include "pg/pg_now.h"

/* X(member, name in file and database, bytes of randomness; 0: derived; jwt_keys: keyring.h, NULL until there are some) */
#define SECRETS_LIST(X)                                  \
    X(jwt_secret, "JWT_SECRET", 32)                      \
    X(jwt_keys, "JWT_KEYS", 0)                           \
    X(anon_key, "ANON_KEY", 0)                           \
    X(service_role_key, "SERVICE_ROLE_KEY", 0)           \
    X(publishable_key, "PUBLISHABLE_KEY", 0)             \
    X(secret_key, "SECRET_KEY", 0)                       \
    X(db_admin, "DB_ADMIN_PASSWORD", 24)                 \
    X(db_postgres, "DB_POSTGRES_PASSWORD", 24)           \
    X(db_authenticator, "DB_AUTHENTICATOR_PASSWORD", 24) \
    X(db_auth, "DB_AUTH_PASSWORD", 24)                   \
    X(db_storage, "DB_STORAGE_PASSWORD", 24)

struct secrets {
#define X(member, name, bytes) const char *member;
    SECRETS_LIST(X)
#undef X
    struct arena memory;
};

/* From the settings, the file and chance; writes the file when something in it is new. */
MUST_CHECK bool secrets_load(const struct settings *s, const char *dir, struct secrets *out,
                             struct err *e);
/* The same for a command: nothing is written, since it may run as another user than the server. */
MUST_CHECK bool secrets_load_for_command(const struct settings *s, const char *dir, struct secrets *out, struct err *e);
/* Agrees with the other nodes: what the database has replaces ours, what it lacks is added. dir NULL: the file stays as it is. */
MUST_CHECK bool secrets_sync(const struct settings *s, const char *dir, struct pg_now *db,
                             struct secrets *secrets, struct err *e);
/* New API keys for the JWT secret in force (basalt key). */
MUST_CHECK bool secrets_renew_keys(const char *dir, struct pg_now *db, struct secrets *secrets,
                                   struct err *e);
void secrets_close(struct secrets *s);

#endif
