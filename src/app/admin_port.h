/* SPDX-License-Identifier: Apache-2.0 */
/* The admin listener: /livez, /readyz, /metrics. */
#ifndef APP_ADMIN_PORT_H
#define APP_ADMIN_PORT_H

#include "http/route.h"

extern const struct route admin_port_routes[];
extern const size_t admin_port_routes_count;

/* /readyz says 503 from now on: a load balancer sends no new work while connections drain. */
void admin_port_draining(void);

#endif
