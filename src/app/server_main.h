/* SPDX-License-Identifier: Apache-2.0 */
/* `basalt serve`: from settings to a running server and back. */
#ifndef APP_SERVER_MAIN_H
#define APP_SERVER_MAIN_H

#include "app/database.h"
#include "guard/services.h"

/* Returns the exit status; says what went wrong and the mend on stderr. */
int server_main_run(struct settings *s);

/* The services on a database that is ready; also for CLI commands, which work through the same rules. */
MUST_CHECK bool server_main_services(struct settings *s, const char *api_url,
                                     const struct secrets *secrets, const struct database *db,
                                     struct services *out, struct err *e);
void server_main_services_close(struct services *v);
MUST_CHECK bool server_main_pool(struct settings *s, const struct database *db, unsigned size,
                                 unsigned loops, struct err *e);

#endif
