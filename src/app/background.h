/* SPDX-License-Identifier: Apache-2.0 */
/* What the server does beside requests: every kind of job and every tick is registered here. */
#ifndef APP_BACKGROUND_H
#define APP_BACKGROUND_H

#include "app/settings.h"
#include "guard/services.h"

/* Before the loops run. */
void background_start(const struct settings *s, struct services *services);
/* On loop 0; done on loop 0 once nothing is at work. */
void background_stop(void (*done)(void *), void *ctx);

#endif
