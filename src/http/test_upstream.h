/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of what we call: a blocking server on threads of its own, one a connection, and fibers
 * that call it. The test says in serve() what the server does with a connection.
 */
#ifndef HTTP_TEST_UPSTREAM_H
#define HTTP_TEST_UPSTREAM_H

#include <arpa/inet.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"

enum { UPSTREAM_THREADS = 256 };

struct upstream {
    int fd, port;
    void (*serve)(int fd, int number);
    pthread_t acceptor, threads[UPSTREAM_THREADS];
    int fds[UPSTREAM_THREADS];
    atomic_int connections;
};

static struct upstream upstream;

static void *upstream_connection(void *arg)
{
    int fd = (int)(intptr_t)arg;
    upstream.serve(fd, atomic_load(&upstream.connections));
    shutdown(fd, SHUT_RDWR); /* closed at the end: its number stays its own */
    return NULL;
}

static void *upstream_accept(void *arg)
{
    (void)arg;
    for (int fd; (fd = accept(upstream.fd, NULL, NULL)) >= 0;) {
        int i = atomic_fetch_add(&upstream.connections, 1);
        BUG(i >= UPSTREAM_THREADS);
        upstream.fds[i] = fd;
        BUG(pthread_create(&upstream.threads[i], NULL, upstream_connection, (void *)(intptr_t)fd));
    }
    return NULL;
}

static void upstream_open(void (*serve)(int fd, int number))
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    upstream.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    upstream.serve = serve;
    BUG(bind(upstream.fd, (struct sockaddr *)&a, n) || listen(upstream.fd, 256)
        || getsockname(upstream.fd, (struct sockaddr *)&a, &n));
    upstream.port = ntohs(a.sin_port);
    BUG(pthread_create(&upstream.acceptor, NULL, upstream_accept, NULL));
}

/* Breaks off the connections that clients keep. */
static void upstream_close(void)
{
    shutdown(upstream.fd, SHUT_RDWR);
    pthread_join(upstream.acceptor, NULL);
    close(upstream.fd);
    for (int i = 0; i < atomic_load(&upstream.connections); i++) {
        shutdown(upstream.fds[i], SHUT_RDWR);
        pthread_join(upstream.threads[i], NULL);
        close(upstream.fds[i]);
    }
}

static inline void upstream_say(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        p += sent;
        n -= (size_t)sent;
    }
}

/* Until the peer has closed. */
static inline void upstream_hang(int fd)
{
    char c[256];
    while (recv(fd, c, sizeof(c), 0) > 0)
        ;
}

/* ---- loops, and fibers that the test waits for ---- */

static pthread_t loops_thread;

static void *loops_run(void *arg)
{
    (void)arg;
    loop_run_all();
    return NULL;
}

static inline void loops_begin(unsigned n)
{
    struct err e;
    BUG(!loop_create_all(n, &e));
    BUG(pthread_create(&loops_thread, NULL, loops_run, NULL));
}

static void loops_stop(void *arg)
{
    (void)arg;
    loop_stop_all();
}

static inline void loops_end(void)
{
    loop_post(loop_at(0), loops_stop, NULL);
    pthread_join(loops_thread, NULL);
}

struct fiber_call {
    void (*fn)(void *arg);
    void *arg;
    sem_t ended;
};

static void fiber_call_run(void *arg)
{
    struct fiber_call *c = arg;
    c->fn(c->arg);
    sem_post(&c->ended);
}

static void fiber_call_begin(void *arg)
{
    fiber_start(fiber_call_run, arg);
}

/* Runs fn(arg) in a fiber of that loop and waits for its end. */
static void in_fiber(unsigned loop, void (*fn)(void *), void *arg)
{
    struct fiber_call c = {.fn = fn, .arg = arg};
    sem_init(&c.ended, 0, 0);
    loop_post(loop_at(loop), fiber_call_begin, &c);
    while (sem_wait(&c.ended) != 0)
        ;
    sem_destroy(&c.ended);
}

#endif
