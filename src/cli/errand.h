/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command has the server's own code do: the services on one loop and one connection of the
 * database that the settings name, in a fiber, as a request would be served.
 */
#ifndef CLI_ERRAND_H
#define CLI_ERRAND_H

#include "app/settings.h"
#include "http/req.h"

struct errand {
    const char **args; /* words of the command */
    int n;
    bool (*run)(struct errand *); /* false with e set */
    const char *agent;            /* "basalt user": as the audit has it */
    struct settings *settings;
    struct req *req; /* made for the run: arena, services, pg */
    struct err e;
    bool ok;
};

/* False with e set. */
bool errand_run(struct settings *s, struct errand *j);

#endif
