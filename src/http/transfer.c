/* SPDX-License-Identifier: Apache-2.0 */
#include "http/transfer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "ops/metrics.h"
#include "runtime/fdwatch.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"
#include "runtime/timer.h"

enum {
    KEPT_CONNECTIONS = 16, /* idle, a loop */
    HOST_CONNECTIONS = 64, /* to one host, a loop: a slow service shall not take all descriptors */
    CONNECT_TIMEOUT_MS = 5000,
};

/*
 * Debian's libcurl is built with both a bundle and a folder of certificates, and reads the whole
 * bundle (20 ms and more) for each new connection. The folder alone is looked into by name.
 */
#define CERTS_BUNDLE "/etc/ssl/certs/ca-certificates.crt"
#define CERTS_FOLDER "/etc/ssl/certs"

/* The labels of METRIC_upstream_calls. */
enum { CALL_OK, CALL_FAILED, CALL_TIMEOUT, CALL_ABANDONED, CALL_REFUSED };

struct hub {
    CURLM *multi;
    struct timer timer;
    unsigned running;
};

/* Each is used by its own loop's thread only. */
static struct hub hubs[LOOP_MAX];
static pthread_once_t started = PTHREAD_ONCE_INIT;
static bool certs_by_name;
static char *further_certs;

static void global_start(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    certs_by_name = access(CERTS_BUNDLE, R_OK) == 0;
}

/* ---- the loop's part ------------------------------------------------------------------------- */

/* Tells the fibers whose transfers have ended; they take them off themselves. */
static void hub_collect(struct hub *h)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(h->multi, &left));) {
        struct transfer *t = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
        t->result = m->data.result;
        t->done = true;
        fiber_wake(t->fiber);
    }
}

static void hub_act(struct hub *h, curl_socket_t fd, int events)
{
    int running;
    curl_multi_socket_action(h->multi, fd, events, &running);
    hub_collect(h);
}

static void hub_on_timer(struct timer *t)
{
    hub_act(LIST_ENTRY(t, struct hub, timer), CURL_SOCKET_TIMEOUT, 0);
}

/* libcurl wants to be called in timeout_ms; it must not be from here. */
static int hub_set_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct hub *h = arg;
    (void)multi;
    if (timeout_ms < 0)
        timer_disarm(&h->timer);
    else
        timer_arm(&h->timer, clock_mono_us() + timeout_ms * CLOCK_MS, hub_on_timer);
    return 0;
}

struct hub_socket {
    struct fdwatch *watch;
    curl_socket_t fd;
};

static void hub_on_ready(void *arg, int ready)
{
    struct hub_socket *s = arg;
    int events = ((ready & FDWATCH_READ) ? CURL_CSELECT_IN : 0)
                 | ((ready & FDWATCH_WRITE) ? CURL_CSELECT_OUT : 0);
    hub_act(&hubs[loop_index()], s->fd, events); /* may free s */
}

/* What libcurl waits for on a socket has changed. It says POLL_REMOVE before it closes one. */
static int hub_set_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct hub *h = arg;
    struct hub_socket *s = known;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (s)
            fdwatch_close(s->watch);
        free(s);
        curl_multi_assign(h->multi, fd, NULL);
        return 0;
    }
    if (!s) {
        s = calloc(1, sizeof(*s));
        if (!s)
            return -1;
        s->fd = fd;
        s->watch = fdwatch_open(fd, hub_on_ready, s);
        curl_multi_assign(h->multi, fd, s);
    }
    fdwatch_set(s->watch, ((what & CURL_POLL_IN) ? FDWATCH_READ : 0)
                              | ((what & CURL_POLL_OUT) ? FDWATCH_WRITE : 0));
    return 0;
}

static struct hub *hub_here(void)
{
    struct hub *h = &hubs[loop_index()];
    if (h->multi)
        return h;
    h->multi = curl_multi_init();
    BUG(!h->multi); /* out of memory */
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, hub_set_socket);
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, hub_set_timer);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)KEPT_CONNECTIONS);
    curl_multi_setopt(h->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)HOST_CONNECTIONS);
    return h;
}

/* ---- a transfer ------------------------------------------------------------------------------ */

static curl_socket_t socket_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    (void)arg, (void)purpose;
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

void transfer_trust(const char *ca_file)
{
    free(further_certs);
    further_certs = *ca_file ? strdup(ca_file) : NULL;
}

void transfer_prepare(CURL *c, char why[CURL_ERROR_SIZE])
{
    pthread_once(&started, global_start);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L); /* do not wait for a resolver's thread */
    curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, socket_open);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
    if (certs_by_name) {
        curl_easy_setopt(c, CURLOPT_CAINFO, further_certs);
        curl_easy_setopt(c, CURLOPT_CAPATH, CERTS_FOLDER);
    } else if (further_certs)
        curl_easy_setopt(c, CURLOPT_CAINFO, further_certs);
}

bool transfer_open(struct transfer *t, struct err *e)
{
    pthread_once(&started, global_start);
    t->easy = curl_easy_init();
    if (!t->easy)
        return err_set(e, 503, "upstream_busy", "no memory for an outgoing call");
    transfer_prepare(t->easy, t->why);
    curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
    return true;
}

static void transfer_take_off(struct transfer *t)
{
    struct hub *h = hub_here();
    if (!t->running)
        return;
    t->running = false;
    h->running--;
    curl_multi_remove_handle(h->multi, t->easy);
    hub_collect(h); /* a place in the queue may have let another one fail */
}

static enum transfer_end transfer_wait(struct transfer *t, int64_t until_us)
{
    while (!t->done) {
        enum fiber_result r = fiber_park(until_us);
        if (r != FIBER_WOKEN && !t->done)
            return r == FIBER_GONE ? TRANSFER_GONE : TRANSFER_LATE;
    }
    return t->result == CURLE_OPERATION_TIMEDOUT ? TRANSFER_LATE : TRANSFER_ENDED;
}

enum transfer_end transfer_run(struct transfer *t, int64_t timeout_us)
{
    struct hub *h = hub_here();
    int64_t begin = clock_mono_us();
    if (h->running >= TRANSFER_MAX || curl_multi_add_handle(h->multi, t->easy) != CURLM_OK) {
        metrics_add(METRIC_upstream_calls, CALL_REFUSED, 1);
        return TRANSFER_BUSY;
    }
    t->fiber = fiber_current();
    t->running = true;
    h->running++;
    enum transfer_end end = transfer_wait(t, begin + timeout_us);
    transfer_take_off(t);
    metrics_observe_us(METRIC_upstream_duration, 0, clock_mono_us() - begin);
    metrics_add(METRIC_upstream_calls,
                end == TRANSFER_ENDED  ? (t->result == CURLE_OK ? CALL_OK : CALL_FAILED)
                : end == TRANSFER_LATE ? CALL_TIMEOUT
                                       : CALL_ABANDONED,
                1);
    return end;
}

void transfer_close(struct transfer *t)
{
    if (!t->easy)
        return;
    transfer_take_off(t);
    curl_easy_cleanup(t->easy);
    t->easy = NULL;
}
