/* SPDX-License-Identifier: Apache-2.0 */
/* Real sockets over loopback: the server on two loops, each test's client a blocking thread. */
#include "sock.c"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/rand.h"

/* ---- the server ------------------------------------------------------------------------------ */

struct conn {
    struct sock *s;
    struct buf in;
    size_t in_max;
    unsigned events[4]; /* seen, by enum sock_event */
    bool serving;
};

struct server {
    void (*on_event)(struct conn *c, enum sock_event ev);
    size_t in_max;
    unsigned max_connections;
    void (*on_open)(struct conn *c);
};

static const struct server *server;
static struct sock_listener *listener;
static int port;
static atomic_uint accepted[2], done; /* connections a loop got; what a test counts */
static atomic_int result;

static void conn_close(struct conn *c, bool linger)
{
    sock_close(c->s, linger);
    buf_free(&c->in);
    free(c);
}

static void conn_event(void *ctx, enum sock_event ev)
{
    struct conn *c = ctx;
    c->events[ev]++;
    server->on_event(c, ev);
}

static void conn_accept(struct sock *s, void *ctx)
{
    (void)ctx;
    struct conn *c = calloc(1, sizeof(*c));
    c->s = s;
    buf_init(&c->in, 1024 * 1024);
    atomic_fetch_add(&accepted[loop_index()], 1);
    sock_read_start(s, &c->in, server->in_max ? server->in_max : 65536, conn_event, c);
    if (server->on_open)
        server->on_open(c);
}

static void server_stop(void *arg)
{
    (void)arg;
    if (listener)
        sock_listener_close(listener);
    listener = NULL;
    loop_stop_all();
}

static void *client_main(void *arg)
{
    void (*client)(void) = *(void (**)(void))arg;
    client();
    loop_post(loop_at(0), server_stop, NULL);
    return NULL;
}

static void run(const struct server *srv, void (*client)(void))
{
    struct err e = {0};
    server = srv;
    atomic_store(&accepted[0], 0), atomic_store(&accepted[1], 0);
    atomic_store(&done, 0), atomic_store(&result, 0);
    assert_true(loop_create_all(2, &e));
    assert_true(sock_listener_open(S("127.0.0.1:0"), 128, &listener, &e));
    port = sock_listener_addr(listener).port;
    assert_true(port > 0);
    sock_listener_start(listener, srv->max_connections ? srv->max_connections : 1000, conn_accept,
                        NULL);
    pthread_t t;
    pthread_create(&t, NULL, client_main, &client);
    loop_run_all();
    pthread_join(t, NULL);
    assert_int_equal(sock_open_count(), 0);
}

/* ---- the client, on a thread of its own: BUG() where cmocka's asserts may not be used -------- */

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    BUG(connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0);
    return fd;
}

static void say(int fd, const char *text)
{
    BUG(write(fd, text, strlen(text)) != (ssize_t)strlen(text));
}

/* Reads exactly this. */
static void hear(int fd, const char *text)
{
    char got[256];
    size_t n = strlen(text), at = 0;
    while (at < n) {
        ssize_t r = read(fd, got + at, n - at);
        BUG(r <= 0);
        at += (size_t)r;
    }
    BUG(memcmp(got, text, n) != 0);
}

static void hear_end(int fd)
{
    char c;
    BUG(read(fd, &c, 1) != 0);
}

static void await(atomic_uint *what, unsigned n)
{
    int64_t limit = clock_mono_us() + 20 * CLOCK_S;
    while (atomic_load(what) < n) {
        BUG(clock_mono_us() > limit);
        usleep(500);
    }
}

static void reset_and_close(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd);
}

/* ---- echo, on both loops, with half-closed clients ------------------------------------------- */

static void echo_fiber(void *arg)
{
    struct conn *c = arg;
    struct err e = {0};
    char copy[65536];
    while (c->in.n > 0) {
        size_t n = smaller(c->in.n, sizeof(copy));
        memcpy(copy, c->in.p, n);
        buf_consume(&c->in, n);
        struct str pieces[3] = {{copy, n / 2}, {NULL, 0}, {copy + n / 2, n - n / 2}};
        BUG(!sock_write(c->s, pieces, 3, 0, &e));
    }
    c->serving = false;
    if (c->events[SOCK_EOF])
        conn_close(c, false);
}

static void echo_event(struct conn *c, enum sock_event ev)
{
    (void)ev;
    if (c->serving)
        return;
    c->serving = true;
    fiber_start(echo_fiber, c);
}

static void echo_client(void)
{
    int fd[40];
    for (int i = 0; i < 40; i++)
        fd[i] = dial();
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 40; i++)
            say(fd[i], "hello, you");
        for (int i = 0; i < 40; i++)
            hear(fd[i], "hello, you");
    }
    for (int i = 0; i < 40; i++) {
        say(fd[i], "last");
        shutdown(fd[i], SHUT_WR); /* still gets its answer */
        hear(fd[i], "last");
        hear_end(fd[i]);
        close(fd[i]);
    }
}

static void echoes(void **state)
{
    (void)state;
    run(&(struct server){.on_event = echo_event}, echo_client);
    assert_int_equal(atomic_load(&accepted[0]), 20); /* the fewest: one each in turn */
    assert_int_equal(atomic_load(&accepted[1]), 20);
}

/* ---- large writes and files to a slow reader ------------------------------------------------- */

enum { LARGE = 24 * 1024 * 1024 };
static char *large;
static int large_fd;

static void large_make(void)
{
    large_fd = memfd_create("large", MFD_CLOEXEC);
    assert_int_equal(ftruncate(large_fd, LARGE), 0);
    large = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_SHARED, large_fd, 0);
    assert_ptr_not_equal(large, MAP_FAILED);
    for (size_t i = 0; i < LARGE; i += 8)
        memcpy(large + i, &i, 8);
}

static void large_fiber(void *arg)
{
    struct conn *c = arg;
    struct err e = {0};
    struct str pieces[40];
    for (unsigned i = 0; i < 40; i++)
        pieces[i] = str_of(large + i * (LARGE / 40), LARGE / 40);
    if (c->in.p[0] == 'f') {
        BUG(!sock_sendfile(c->s, large_fd, 0, LARGE, 0, &e));
    } else {
        BUG(!sock_write(c->s, pieces, 40, c->in.p[0] == 'r' ? 1 : 0, &e));
        BUG(!sock_sendfile(c->s, large_fd, LARGE / 40 * 40, LARGE % 40, 0, &e));
    }
    conn_close(c, true);
}

static void large_event(struct conn *c, enum sock_event ev)
{
    if (ev == SOCK_DATA)
        fiber_start(large_fiber, c);
}

static void large_read(const char *how)
{
    static char got[65536];
    int fd = dial();
    say(fd, how);
    for (size_t at = 0; at < LARGE;) {
        ssize_t r = read(fd, got, sizeof(got));
        BUG(r <= 0 || memcmp(got, large + at, (size_t)r) != 0);
        if (at / (1024 * 1024) != (at + (size_t)r) / (1024 * 1024))
            usleep(1000);
        at += (size_t)r;
    }
    hear_end(fd);
    close(fd);
}

static void large_client(void)
{
    large_read("write");
    large_read("rate");
    large_read("file");
}

static void writes_large(void **state)
{
    (void)state;
    large_make();
    run(&(struct server){.on_event = large_event}, large_client);
}

/* ---- clients that do not read: deadline, minimum rate, cancel, reset ------------------------- */

static struct conn *stuck;

static void stuck_fiber(void *arg)
{
    struct conn *c = arg;
    struct err e = {0};
    struct str all = {large, LARGE};
    char how = c->in.p[0];
    unsigned rate = 0;
    if (how == 'd')
        fiber_set_deadline(clock_mono_us() + 30 * CLOCK_MS);
    if (how == 'm') { /* the deadline does not count, the rate does; its window is nearly over */
        rate = 1000 * 1000 * 1000;
        fiber_set_deadline(clock_mono_us() + 5 * CLOCK_MS);
        c->s->rate_blocked_us = SOCK_RATE_WINDOW_US - 30 * CLOCK_MS;
    }
    int64_t begin = clock_mono_us();
    BUG(sock_write(c->s, &all, 1, rate, &e));
    if (how == 'm')
        BUG(clock_mono_us() - begin < 30 * CLOCK_MS);
    fiber_set_deadline(FIBER_NEVER);
    fiber_uncancel();
    atomic_store(&result, e.status);
    BUG(sock_write(c->s, &all, 1, 0, &e)); /* broken */
    BUG(sock_try_write(c->s, S("x")));
    conn_close(c, false);
    atomic_fetch_add(&done, 1);
}

static void stuck_cancel(struct timer *t)
{
    (void)t;
    fiber_cancel(stuck->s->writer);
}

static void stuck_event(struct conn *c, enum sock_event ev)
{
    static struct timer soon;
    if (ev != SOCK_DATA)
        return;
    stuck = c;
    if (c->in.p[0] == 'c')
        timer_arm(&soon, loop_now_us() + 10 * CLOCK_MS, stuck_cancel);
    fiber_start(stuck_fiber, c);
}

static void stuck_one(const char *how, int status)
{
    unsigned before = atomic_load(&done);
    int fd = dial();
    say(fd, how);
    if (how[0] == 'r') {
        usleep(20000); /* so that it is writing: nothing depends on it */
        reset_and_close(fd);
        await(&done, before + 1);
    } else {
        await(&done, before + 1);
        close(fd);
    }
    BUG(atomic_load(&result) != status);
}

static void stuck_client(void)
{
    stuck_one("deadline", 504);
    stuck_one("minimum rate", 504);
    stuck_one("cancel", 499);
    stuck_one("reset", 499);
}

static void stuck_writes(void **state)
{
    (void)state;
    run(&(struct server){.on_event = stuck_event}, stuck_client);
}

/* ---- a full input, pausing, and what is told meanwhile --------------------------------------- */

static void resume_later(struct timer *t);
static struct timer resume_timer;
static struct conn *full;
static size_t full_got;

static void full_event(struct conn *c, enum sock_event ev)
{
    full = c;
    BUG(c->in.n > 1000);
    if (ev == SOCK_FULL) {
        BUG(c->in.n != 1000);
        timer_arm(&resume_timer, loop_now_us() + 100, resume_later);
    }
    if (ev == SOCK_EOF) { /* after the last byte, never before */
        full_got += c->in.n;
        atomic_store(&result, (int)full_got);
        conn_close(c, false);
        atomic_fetch_add(&done, 1);
    }
}

static void resume_later(struct timer *t)
{
    (void)t;
    full_got += full->in.n;
    buf_consume(&full->in, full->in.n);
    sock_resume(full->s);
}

static void full_client(void)
{
    static char bytes[100500];
    int fd = dial();
    BUG(write(fd, bytes, sizeof(bytes)) != sizeof(bytes));
    close(fd);
    await(&done, 1);
    BUG(atomic_load(&result) != sizeof(bytes));
}

static void full_input(void **state)
{
    (void)state;
    run(&(struct server){.on_event = full_event, .in_max = 1000}, full_client);
}

static void paused_event(struct conn *c, enum sock_event ev)
{
    if (ev == SOCK_DATA) {
        buf_consume(&c->in, c->in.n);
        sock_pause(c->s);
        BUG(!sock_try_write(c->s, S("paused")));
        return;
    }
    atomic_fetch_add(&done, 1);
    if (ev == SOCK_EOF) {
        BUG(!sock_try_write(c->s, S("answer"))); /* it may be half closed only */
        return;
    }
    BUG(ev != SOCK_ERROR || c->events[SOCK_ERROR] != 1);
    conn_close(c, true);
}

static void paused_client(void)
{
    int fd = dial();
    say(fd, "x");
    hear(fd, "paused");
    shutdown(fd, SHUT_WR);
    hear(fd, "answer");
    await(&done, 1);
    reset_and_close(fd);
    await(&done, 2);

    fd = dial();
    say(fd, "x");
    hear(fd, "paused");
    say(fd, "unread");
    reset_and_close(fd);
    await(&done, 3);
}

static void told_while_paused(void **state)
{
    (void)state;
    run(&(struct server){.on_event = paused_event}, paused_client);
}

/* ---- closing: with what the client still sends, in its own callback, at once ----------------- */

static void refuse_event(struct conn *c, enum sock_event ev)
{
    (void)ev;
    sock_try_write(c->s, S("413 too large"));
    conn_close(c, true);
}

static void refuse_client(void)
{
    static char body[300000];
    int fd = dial();
    for (int i = 0; i < 10; i++) /* without lingering, this ends in a reset that eats the answer */
        BUG(write(fd, body, sizeof(body)) != sizeof(body));
    hear(fd, "413 too large");
    hear_end(fd);
    close(fd);
}

static void lingers(void **state)
{
    (void)state;
    run(&(struct server){.on_event = refuse_event}, refuse_client);
}

static void linger_forever_client(void)
{
    int fd = dial();
    say(fd, "x");
    hear(fd, "413 too large");
    hear_end(fd);
    int64_t begin = clock_mono_us();
    while (sock_open_count() > 0 && clock_mono_us() - begin < 20 * CLOCK_S)
        usleep(1000);
    BUG(sock_open_count() != 0);
    BUG(clock_mono_us() - begin > 10 * CLOCK_S);
    close(fd);
}

static void linger_ends(void **state)
{
    (void)state;
    run(&(struct server){.on_event = refuse_event}, linger_forever_client);
}

static void open_close(struct conn *c)
{
    conn_close(c, false);
    atomic_fetch_add(&done, 1);
}

static void open_close_client(void)
{
    for (int i = 0; i < 100; i++) {
        int fd = dial();
        hear_end(fd);
        close(fd);
    }
    await(&done, 100);
}

static void closes_at_once(void **state)
{
    (void)state;
    run(&(struct server){.on_event = refuse_event, .on_open = open_close}, open_close_client);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void greet(struct conn *c)
{
    sock_try_write(c->s, S("hi"));
}

static void close_event(struct conn *c, enum sock_event ev)
{
    if (ev == SOCK_EOF || ev == SOCK_ERROR)
        conn_close(c, false);
}

static void max_client(void)
{
    int fd[10];
    for (int i = 0; i < 10; i++)
        fd[i] = dial(); /* the kernel takes them all */
    for (int i = 0; i < 3; i++)
        hear(fd[i], "hi");
    usleep(20000); /* a fourth would show by now, mostly */
    BUG(sock_open_count() != 3);
    for (int i = 0; i < 7; i++) {
        close(fd[i]);
        hear(fd[i + 3], "hi"); /* in order, as each makes room */
    }
    for (int i = 7; i < 10; i++)
        close(fd[i]);
}

static void max_connections(void **state)
{
    (void)state;
    run(&(struct server){.on_event = close_event, .on_open = greet, .max_connections = 3},
        max_client);
}

static void emfile_client(void)
{
    struct rlimit old, low;
    getrlimit(RLIMIT_NOFILE, &old);
    int fd[5];
    for (int i = 0; i < 5; i++)
        fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    low = (struct rlimit){(rlim_t)fd[4] + 1, old.rlim_max};
    setrlimit(RLIMIT_NOFILE, &low); /* the server can open nothing more */
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < 5; i++)
        BUG(connect(fd[i], (struct sockaddr *)&a, sizeof(a)) != 0);
    usleep(30000);
    BUG(sock_open_count() != 0);
    setrlimit(RLIMIT_NOFILE, &old);
    for (int i = 0; i < 5; i++) {
        hear(fd[i], "hi");
        close(fd[i]);
    }
}

static void out_of_descriptors(void **state)
{
    (void)state;
    run(&(struct server){.on_event = close_event, .on_open = greet}, emfile_client);
}

/* ---- everything at once, by chance: nothing is left over, no sanitizer objects ---------------- */

enum { CHAOS_CLIENTS = 4, CHAOS_CONNECTIONS = 100 };

static struct {
    struct conn *c;
    struct fiber *fiber;
    bool over;
} chaos_work[2][CHAOS_CLIENTS * CHAOS_CONNECTIONS];
static unsigned chaos_n[2];

static void chaos_end(unsigned i)
{
    struct conn *c = chaos_work[loop_index()][i].c;
    chaos_work[loop_index()][i].c = NULL;
    conn_close(c, rand_below(2) == 0);
}

static void chaos_fiber(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    struct conn *c = chaos_work[loop_index()][i].c;
    struct err e = {0};
    chaos_work[loop_index()][i].fiber = fiber_current();
    for (bool ok = true; ok && !chaos_work[loop_index()][i].over;) {
        fiber_set_deadline(clock_mono_us() + 1000 + rand_below(20000));
        struct str piece = {large, rand_below(4) == 0 ? rand_below(LARGE / 4) : rand_below(1000)};
        ok = sock_write(c->s, &piece, 1, rand_below(2) ? 1000 : 0, &e);
        if (rand_below(3) == 0)
            ok = ok && fiber_sleep(rand_below(2000)) == FIBER_LATE;
        ok = ok && rand_below(5) != 0;
    }
    chaos_work[loop_index()][i].fiber = NULL;
    chaos_end(i);
}

static void chaos_event(struct conn *c, enum sock_event ev)
{
    unsigned loop = loop_index(), i = 0;
    while (i < chaos_n[loop] && chaos_work[loop][i].c != c)
        i++;
    BUG(i == chaos_n[loop]);
    if (c->serving) {
        if (ev == SOCK_ERROR && chaos_work[loop][i].fiber)
            fiber_cancel(chaos_work[loop][i].fiber);
        if (ev == SOCK_EOF || ev == SOCK_ERROR)
            chaos_work[loop][i].over = true;
        else if (rand_below(2))
            sock_pause(c->s);
        else if (ev == SOCK_FULL) {
            buf_consume(&c->in, rand_below((uint32_t)c->in.n));
            sock_resume(c->s);
        }
        return;
    }
    if (ev != SOCK_DATA || rand_below(8) == 0) {
        chaos_end(i);
        return;
    }
    c->serving = true;
    fiber_start(chaos_fiber, (void *)(uintptr_t)i);
}

static void chaos_open(struct conn *c)
{
    unsigned i = chaos_n[loop_index()]++;
    chaos_work[loop_index()][i].c = c;
    chaos_work[loop_index()][i].over = false;
    if (rand_below(20) == 0)
        chaos_end(i);
}

static void chaos_talk(int fd)
{
    static _Thread_local char bytes[100000];
    struct timeval soon = {.tv_usec = 3000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon));
    for (int i = (int)rand_below(6); i >= 0; i--) {
        if (rand_below(2) && send(fd, bytes, rand_below(sizeof(bytes)), MSG_NOSIGNAL) < 0)
            break;
        if (rand_below(2) && read(fd, bytes, sizeof(bytes)) == 0)
            break;
    }
    if (rand_below(3) == 0)
        shutdown(fd, SHUT_WR);
    if (rand_below(3) == 0)
        (void)!read(fd, bytes, sizeof(bytes));
    if (rand_below(3) == 0)
        reset_and_close(fd);
    else
        close(fd);
}

static void *chaos_thread(void *arg)
{
    for (int i = 0; i < CHAOS_CONNECTIONS; i++)
        chaos_talk(dial());
    return arg;
}

static void chaos_client(void)
{
    pthread_t t[CHAOS_CLIENTS];
    for (int i = 0; i < CHAOS_CLIENTS; i++)
        pthread_create(&t[i], NULL, chaos_thread, NULL);
    for (int i = 0; i < CHAOS_CLIENTS; i++)
        pthread_join(t[i], NULL);
    int64_t limit = clock_mono_us() + 30 * CLOCK_S;
    while (sock_open_count() > 0) {
        BUG(clock_mono_us() > limit);
        usleep(1000);
    }
}

static void chaos(void **state)
{
    (void)state;
    chaos_n[0] = chaos_n[1] = 0;
    run(
        &(struct server){
            .on_event = chaos_event, .on_open = chaos_open, .in_max = 20000, .max_connections = 20},
        chaos_client);
    assert_int_equal(chaos_n[0] + chaos_n[1], CHAOS_CLIENTS * CHAOS_CONNECTIONS);
}

/* ---- closing the listener: what the kernel has queued is served, then nobody is let in ------- */

static atomic_bool loop_held;
static int queued[5];

static void hold_and_close(void *arg)
{
    (void)arg;
    atomic_store(&loop_held, true);
    while (atomic_load(&loop_held)) /* the client connects meanwhile */
        usleep(100);
    sock_listener_close(listener);
    listener = NULL;
    atomic_fetch_add(&done, 1);
}

static void drain_client(void)
{
    loop_post(loop_at(0), hold_and_close, NULL);
    while (!atomic_load(&loop_held))
        usleep(100);
    for (int i = 0; i < 5; i++)
        queued[i] = dial();
    atomic_store(&loop_held, false);
    for (int i = 0; i < 5; i++) {
        hear(queued[i], "hi");
        close(queued[i]);
    }
    await(&done, 1);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    BUG(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
    close(fd);
}

static void drains(void **state)
{
    (void)state;
    run(&(struct server){.on_event = close_event, .on_open = greet, .max_connections = 2},
        drain_client);
}

static void small(void **state)
{
    (void)state;
    assert_true(sizeof(struct sock) < 1024); /* the budget of an idle connection */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echoes),
        cmocka_unit_test(writes_large),
        cmocka_unit_test(stuck_writes),
        cmocka_unit_test(full_input),
        cmocka_unit_test(told_while_paused),
        cmocka_unit_test(lingers),
        cmocka_unit_test(linger_ends),
        cmocka_unit_test(closes_at_once),
        cmocka_unit_test(max_connections),
        cmocka_unit_test(out_of_descriptors),
        cmocka_unit_test(chaos),
        cmocka_unit_test(drains),
        cmocka_unit_test(small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
