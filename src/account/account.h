/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The app's own account routes, as the seed systems' clients call them: register, signup with
 * profile, login, refresh, logout, me, health, under /api/auth and /api/v1/auth alike. Rules and
 * tables are auth's; this folder words them for those clients.
 */
#ifndef ACCOUNT_ACCOUNT_H
#define ACCOUNT_ACCOUNT_H

#include "http/route.h"

extern const struct route account_routes[];
extern const size_t account_routes_count;

#endif
