/* SPDX-License-Identifier: Apache-2.0 */
/* The audit of a server: its journal and shipper, and the events of its own start and stop. */
#ifndef APP_AUDIT_START_H
#define APP_AUDIT_START_H

#include "app/database.h"
#include "app/settings.h"

MUST_CHECK bool audit_start_open(struct settings *s, const char *dir, const struct database *db,
                                 struct err *e);
/* After the last request. */
void audit_start_close(void);

#endif
