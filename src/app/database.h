/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which PostgreSQL, as whom, and in what state: the private cluster or the one a URL names, its
 * migrations, its logins. Blocking, for start-up and the command line.
 */
#ifndef APP_DATABASE_H
#define APP_DATABASE_H

#include "app/secrets.h"
#include "guard/emergency.h"
#include "pg/cluster.h"
#include "pg/migrate.h"
#include "pg/pg_pool.h"

struct database {
    struct cluster *cluster; /* NULL: external */
    const char *owner;  /* conninfo that applies our migrations: superuser, or the URL's user */
    const char *app;    /* conninfo of role postgres, or the URL: app migrations, DB_URL */
    const char *direct; /* for LISTEN */
    const char *login[PG_LOGIN_COUNT], *set_role[PG_LOGIN_COUNT];
    const char *url;           /* what status shows as DB_URL */
    const char *profile_table; /* NULL: none */
    enum emergency_mode emergency; /* as declared when we started */
    struct str roles; /* that the login authenticator is a member of (guard/access.h) */
    struct arena memory;
};

/* Makes or takes over the private cluster, or notes the URL; connects once to say in a sentence why not. */
MUST_CHECK bool database_open(struct settings *s, const char *dir, const struct secrets *secrets,
                              struct database *out, struct err *e);
/* For the CLI beside a running server: the URL alone. */
MUST_CHECK bool database_open_url(const char *url, struct database *out, struct err *e);
/*
 * Migrates (a private cluster always, an external one only with apply), agrees on secrets, gives the
 * logins their passwords, finds the profile table. e "migrations_pending" says what to do.
 */
MUST_CHECK bool database_prepare(struct settings *s, const char *dir, bool apply,
                                 struct secrets *secrets, struct database *db, struct err *e);
/* Stops the private cluster unless keep. */
void database_close(struct database *db, bool keep_cluster);
/* The roles that tokens may name: names, each with a NUL behind. Blocking. */
MUST_CHECK bool database_roles(struct pg_now *c, struct arena *a, struct str *out, struct err *e);

#endif
