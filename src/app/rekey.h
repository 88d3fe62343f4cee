/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and roles that change while the server runs: read anew when NOTIFY tells of a change, when
 * the listener was away, and when a token named a role that we do not know. The reading is done on a
 * thread of its own as the database's owner, since the logins that requests use may not see keys.
 */
#ifndef APP_REKEY_H
#define APP_REKEY_H

#include "app/database.h"
#include "guard/guard.h"

/* All that is given stays the caller's, and has to live until rekey_close. */
MUST_CHECK bool rekey_open(const struct settings *s, const struct secrets *k, const struct database *db,
                           struct guard *g, struct err *e);
/* Once loop 0 exists: keeps the roles true. */
void rekey_start(void);
/* On loop 0: reads until it could be read. */
void rekey_reload(void);
/* On loop 0, before it ends. */
void rekey_stop(void);
/* After the loops have ended. */
void rekey_close(void);

#endif
