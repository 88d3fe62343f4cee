/* SPDX-License-Identifier: Apache-2.0 */
/* What handlers work with, made once at start by app/server_main.c and reached through req->services. */
#ifndef GUARD_SERVICES_H
#define GUARD_SERVICES_H

struct account;
struct auth;
struct context;
struct guard;
struct quota;

struct services {
    struct guard *guard;
    struct quota *quota;
    struct context *context;
    struct auth *auth;
    struct account *account;
};

#endif
