/* SPDX-License-Identifier: Apache-2.0 */
/* Every route of the program. */
#ifndef APP_ROUTES_H
#define APP_ROUTES_H

#include "http/route.h"

struct route_table *routes_build(void);

#endif
