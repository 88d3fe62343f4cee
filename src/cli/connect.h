/* SPDX-License-Identifier: Apache-2.0 */
/* Which database a command works on: the URL in the settings, else the running server's. */
#ifndef CLI_CONNECT_H
#define CLI_CONNECT_H

#include "app/database.h"
#include "app/run_state.h"

/* Not prepared yet (database_prepare). url may be NULL. */
MUST_CHECK bool connect_database(struct settings *s, struct secrets *secrets, struct database *db,
                                 struct err *e);

#endif
