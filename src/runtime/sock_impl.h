/* SPDX-License-Identifier: Apache-2.0 */
/* What sock.c and sock_listener.c know of each other; private to runtime/. */
#ifndef RUNTIME_SOCK_IMPL_H
#define RUNTIME_SOCK_IMPL_H

#include <netinet/in.h>

#include "runtime/sock.h"

struct loop;

union sock_name {
    sa_family_t family; /* AF_INET, AF_INET6, or another without an address */
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* An IPv4 peer of a dual-stack listener ("::ffff:1.2.3.4") is given as IPv4. */
struct sock_addr sock_name_text(const union sock_name *n);

/* On any thread; then sock_adopt on the loop that shall own it, or sock_destroy_unadopted. */
struct sock *sock_new(int fd, const union sock_name *peer, struct sock_listener *listener);
/* False when the kernel refused to watch it; s is gone then. */
bool sock_adopt(struct sock *s);
void sock_destroy_unadopted(struct sock *s);

struct sock_listener *sock_listener_of(const struct sock *s);
/* A connection of this listener, counted on loop l, was closed. From loop l. */
void sock_listener_gone(struct sock_listener *listener, struct loop *l);
/* Open connections of all listeners. */
unsigned sock_listener_connections(void);

#endif
