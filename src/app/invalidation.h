/* SPDX-License-Identifier: Apache-2.0 */
/* Heard by LISTEN: what other nodes and plain SQL change voids what is cached here (architecture §4), and new
 * jobs wake their worker. */
#ifndef APP_INVALIDATION_H
#define APP_INVALIDATION_H

#include "base/err.h"

/* Before the loops run; conninfo of the direct database. */
MUST_CHECK bool invalidation_open(const char *conninfo, struct err *e);
void invalidation_start(void);
void invalidation_close(void);

#endif
