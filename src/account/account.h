/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The app's own account routes, as the seed systems' clients call them: register, signup with
 * profile, login, refresh, logout, me, health, under /api/auth and /api/v1/auth alike. Rules and
 * tables are auth's; this folder words them for those clients.
 */
#ifndef ACCOUNT_ACCOUNT_H
#define ACCOUNT_ACCOUNT_H

#include "base/str.h"
#include "http/route.h"

/* What these routes need beside auth's settings; services.account. */
struct account {
    bool e2e_testing;      /* users for end-to-end tests may be asked for */
    struct str e2e_secret; /* that does as well as the service key there; absent: only the key */
};

extern const struct route account_routes[];
extern const size_t account_routes_count;

#endif
