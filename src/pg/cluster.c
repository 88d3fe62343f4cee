/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "pg/cluster_bin.h"
#include "pg/cluster_dir.h"
#include "pg/cluster_log.h"
#include "pg/cluster_proc.h"
#include "runtime/file.h"
#include "runtime/loop.h"
#include "runtime/process.h"
#include "runtime/timer.h"

enum {
    DEFAULT_PORT = 5432,
    LOCK_MS = 3000,   /* a server that was killed lets go when the kernel has cleared it away */
    LOOK_MS = 2,      /* how often a starting postmaster is looked at */
    READY_MS = 60000, /* crash recovery included */
    ANSWER_S = 2,     /* a server that is taken over; libpq knows nothing shorter */
    RESTART_STOP_MS = 5000, /* then SIGQUIT, which costs a crash recovery and no data */
    LEFTOVER_MS = 5000,
    BACKOFF_MIN_MS = 100,
    BACKOFF_MAX_MS = 5000,
    STEADY_US = 10000000, /* one that lived this long is restarted at once */
    ARGS_MAX = 40,
    ARGUMENTS_MAX = 65536,
    TRIM_US = 60000000, /* between two looks at the size of the log */
    LOG_TAIL = 4096,
};

struct cluster {
    struct arena memory; /* the strings below */
    struct cluster_dir dir;
    struct cluster_bin bin;
    const char *argv[ARGS_MAX];
    const char *host; /* of listen, "" for none */
    int port;
    int lock_fd;
    pid_t pid;
    int64_t started_us; /* monotonic */

    /* the watch; loop 0's */
    struct process_watch *watch;
    struct timer trim, again;
    void (*on_down)(void *ctx);
    void (*on_up)(void *ctx);
    void *ctx;

    /* the thread that restarts; lock guards ending, has_thread */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool ending, has_thread;
};

/* ---- waiting, cut short by cluster_stop ---- */

static bool ending(struct cluster *c)
{
    pthread_mutex_lock(&c->lock);
    bool yes = c->ending;
    pthread_mutex_unlock(&c->lock);
    return yes;
}

/* False when the cluster is to end. */
static bool nap(struct cluster *c, int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&c->lock);
    int code = 0;
    while (!c->ending && code == 0)
        code = pthread_cond_timedwait(&c->wake, &c->lock, &until);
    bool yes = !c->ending;
    pthread_mutex_unlock(&c->lock);
    return yes;
}

/* ---- the struct ---- */

static void cluster_free(struct cluster *c)
{
    if (c->lock_fd >= 0)
        close(c->lock_fd);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->lock);
    arena_close(&c->memory);
    free(c);
}

static void cluster_drop(struct cluster **c)
{
    if (*c)
        cluster_free(*c);
}

static struct cluster *cluster_new(void)
{
    struct cluster *c = calloc(1, sizeof *c);
    BUG(!c);
    arena_init(&c->memory, SIZE_MAX);
    c->lock_fd = -1;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

/* ---- what is asked for ---- */

/* "127.0.0.1:5433", "[::1]:5433", "*:5433". */
static bool set_listen(struct cluster *c, const char *listen, struct err *e)
{
    c->host = "";
    c->port = DEFAULT_PORT;
    if (!listen || !*listen)
        return true;
    struct str all = str_from(listen), host = all;
    const char *colon = strrchr(listen, ':');
    int64_t port = 0;
    if (colon) {
        host = str_of(listen, (size_t)(colon - listen));
        if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
            host = str_of(host.p + 1, host.n - 2);
    }
    /* the server reads a list of names: ',' and quotes would mean more than one host */
    if (!colon || host.n == 0 || host.n > 255 || !str_to_i64(str_from(colon + 1), &port) || port < 1
        || port > 65535 || strcspn(listen, " ,'\"\\") != all.n)
        return err_set(e, 500, "config_invalid", "db_listen \"%.60s\" is not HOST:PORT", listen);
    c->host = arena_str(&c->memory, host).p;
    c->port = (int)port;
    return true;
}

static void add(struct cluster *c, int *n, const char *name, const char *value)
{
    BUG(*n + 3 > ARGS_MAX);
    c->argv[(*n)++] = "-c";
    c->argv[(*n)++] = arena_printf(&c->memory, "%s=%s", name, value).p;
}

/* What ours depends on goes onto the command line, which ALTER SYSTEM cannot override. */
static void set_arguments(struct cluster *c, unsigned max_connections)
{
    struct arena *a = &c->memory;
    int n = 0;
    c->argv[n++] = c->bin.postgres;
    c->argv[n++] = "-D";
    c->argv[n++] = c->dir.pg;
    add(c, &n, "config_file", c->dir.conf);
    add(c, &n, "hba_file", c->dir.hba);
    add(c, &n, "unix_socket_directories", c->dir.sock);
    add(c, &n, "unix_socket_permissions", "0700");
    add(c, &n, "listen_addresses", c->host);
    add(c, &n, "port", arena_printf(a, "%d", c->port).p);
    add(c, &n, "max_connections", arena_printf(a, "%u", max_connections).p);
    add(c, &n, "password_encryption", "scram-sha-256");
    add(c, &n, "fsync", "on");
    add(c, &n, "full_page_writes", "on");
    add(c, &n, "synchronous_commit", "on");
    c->argv[n] = NULL;
}

static bool take_lock(struct cluster *c, struct err *e)
{
    if (!file_now_mkdirs(c->dir.root, 0700, e))
        return false;
    c->lock_fd = open(c->dir.lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (c->lock_fd < 0)
        return err_set(e, 500, "file_io", "cannot write %.100s: %s", c->dir.lock,
                       strerrordesc_np(errno));
    int64_t end = clock_mono_us() + LOCK_MS * CLOCK_MS;
    while (flock(c->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return err_set(e, 500, "file_io", "cannot lock %.100s: %s", c->dir.lock,
                           strerrordesc_np(errno));
        if (clock_mono_us() >= end)
            return err_set(e, 500, "cluster_locked",
                           "another server runs on the data folder %.60s: basalt stop ends it",
                           c->dir.root);
        nap(c, LOOK_MS);
    }
    return true;
}

/* ---- starting ---- */

/* Why PostgreSQL ended, from what it wrote since. */
static bool start_failed(const struct cluster *c, int64_t log_from, struct err *e)
{
    CLEANUP(buf_free) struct buf log;
    buf_init(&log, LOG_TAIL);
    cluster_log_tail(c->dir.log, log_from, &log);
    struct str text = buf_view(&log);
    size_t at;
    if (str_find(text, S("Address already in use"), &at))
        err_set(e, 500, "port_in_use",
                "PostgreSQL cannot listen on %.60s:%d, the port is in use: change db_listen",
                c->host, c->port);
    else if (cluster_log_is_full_disk(text))
        err_set(e, 507, "disk_full", "PostgreSQL does not start: the disk is full");
    else
        err_set(e, 500, "cluster_start", "PostgreSQL does not start: %.*s",
                STR_ARG(cluster_log_reason(text)));
    size_t keep = sizeof e->detail - 1;
    return err_detail(e, "%.*s", STR_ARG(str_from_at(text, text.n > keep ? text.n - keep : 0)));
}

static bool too_slow(const struct cluster *c, int64_t log_from, struct err *e)
{
    start_failed(c, log_from, e);
    char tail[sizeof e->detail];
    memcpy(tail, e->detail, sizeof tail);
    err_set(e, 500, "cluster_slow",
            "PostgreSQL is not ready after %d s (crash recovery of much data?); its log is %.60s",
            READY_MS / 1000, c->dir.log);
    return err_detail(e, "%s", tail);
}

/* Until the postmaster says ready in its pid file, which is when it takes connections. */
static bool wait_ready(struct cluster *c, int64_t log_from, struct err *e)
{
    int64_t end = clock_mono_us() + READY_MS * CLOCK_MS;
    int exit_code;
    pid_t seen;
    while (clock_mono_us() < end) {
        if (cluster_proc_look(c->dir.pg, &seen) == CLUSTER_PROC_READY && seen == c->pid)
            return true;
        if (process_wait(c->pid, 0, &exit_code))
            return start_failed(c, log_from, e);
        if (!nap(c, LOOK_MS))
            return err_set(e, 503, "cluster_stopped", "the database is being stopped");
    }
    return too_slow(c, log_from, e);
}

static bool spawn(struct cluster *c, int64_t *log_from, struct err *e)
{
    int log_fd;
    uint64_t start_time = 0;
    if (!cluster_log_open(c->dir.log, &log_fd, log_from, e))
        return false;
    struct process_spec s = {
        .argv = c->argv, .cwd = c->dir.pg, .out_fd = log_fd, .new_session = true};
    bool ok = process_spawn(&s, &c->pid, e);
    close(log_fd);
    if (!ok)
        return false;
    c->started_us = clock_mono_us();
    process_start_time(c->pid, &start_time);
    return cluster_dir_record(&c->dir, c->pid, start_time, e);
}

/*
 * The lock files of a postmaster that is gone. PostgreSQL removes them itself, but takes a zombie for
 * alive, and so whoever has the number now: both stopped a restart for good. Nobody of this folder
 * runs here, and its shared memory is found by the folder's inode.
 */
static void remove_locks(const struct cluster *c)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/postmaster.pid", c->dir.pg);
    unlink(path);
    snprintf(path, sizeof path, "%s/.s.PGSQL.%d.lock", c->dir.sock, c->port);
    unlink(path);
}

/* Afterwards exactly one postmaster of this data folder runs, or none. */
static bool start_fresh(struct cluster *c, struct err *e)
{
    int64_t log_from = 0;
    struct err ignored;
    int exit_code;
    bool was;
    if (!cluster_proc_end_all(c->dir.pg, LEFTOVER_MS, e))
        return false;
    process_reap_orphans(); /* its backends, when it was killed */
    remove_locks(c);
    if (spawn(c, &log_from, e) && wait_ready(c, log_from, e))
        return true;
    if (c->pid > 0) {
        if (!cluster_proc_stop(c->dir.pg, RESTART_STOP_MS, &was, &ignored))
            kill(c->pid, SIGKILL);
        process_wait(c->pid, RESTART_STOP_MS, &exit_code);
        c->pid = 0;
    }
    return false;
}

/* ---- taking over ---- */

static bool same_arguments(const struct cluster *c, pid_t pid)
{
    CLEANUP(buf_free) struct buf want, have;
    buf_init(&want, ARGUMENTS_MAX);
    buf_init(&have, ARGUMENTS_MAX);
    for (int i = 0; c->argv[i]; i++)
        buf_add(&want, c->argv[i], strlen(c->argv[i]) + 1);
    return cluster_proc_arguments(pid, &have) && str_eq(buf_view(&want), buf_view(&have));
}

/* Asks without logging in, so that it needs no password and works with no connection free. */
static PGPing ping(const struct cluster *c)
{
    char port[16], timeout[16];
    snprintf(port, sizeof port, "%d", c->port);
    snprintf(timeout, sizeof timeout, "%d", ANSWER_S);
    const char *names[] = {"host", "port", "dbname", "user", "connect_timeout", NULL};
    const char *values[] = {c->dir.sock, port, "postgres", "supabase_admin", timeout, NULL};
    return PQpingParams(names, values, 0);
}

/*
 * One of its backends may have crashed just now: then its file says ready while it drops every
 * connection and recovers. So it is waited for, but not long when it says nothing at all.
 */
static bool wait_answer(struct cluster *c)
{
    int64_t begin = clock_mono_us(), silent_end = begin + ANSWER_S * CLOCK_S;
    for (;;) {
        PGPing answer = ping(c);
        if (answer == PQPING_OK)
            return true;
        pid_t pid;
        int64_t now = clock_mono_us();
        bool rejected = answer == PQPING_REJECT;
        if (now > (rejected ? begin + READY_MS * CLOCK_MS : silent_end) || !nap(c, LOOK_MS)
            || cluster_proc_look(c->dir.pg, &pid) == CLUSTER_PROC_STOPPING || pid != c->pid)
            return false;
    }
}

/* A postmaster that our SIGKILL left running, when it is exactly what would be started now. */
static bool take_over(struct cluster *c)
{
    pid_t pid;
    char exe[4096];
    struct err ignored;
    enum cluster_proc_state state = cluster_proc_look(c->dir.pg, &pid);
    if ((state != CLUSTER_PROC_READY && state != CLUSTER_PROC_STARTING)
        || !cluster_dir_is_recorded(&c->dir, pid) || !process_exe(pid, exe, sizeof exe)
        || !same_arguments(c, pid))
        return false;
    char *real = realpath(c->bin.postgres, NULL);
    bool same = real && strcmp(real, exe) == 0;
    free(real);
    if (!same)
        return false;
    c->pid = pid;
    c->started_us = clock_mono_us();
    cluster_proc_wake(c->dir.pg);
    if (wait_ready(c, 0, &ignored) && wait_answer(c))
        return true;
    c->pid = 0;
    return false;
}

/* ---- start ---- */

static bool run_or_take_over(struct cluster *c, bool changed, struct err *e)
{
    bool was;
    if (!changed && take_over(c))
        return true;
    return cluster_proc_stop(c->dir.pg, RESTART_STOP_MS, &was, e) && start_fresh(c, e);
}

static bool start(struct cluster *c, const struct cluster_config *config, struct err *e)
{
    int major;
    bool changed;
    if (!cluster_dir_init(&c->dir, config->data_dir, &c->memory, e)
        || !set_listen(c, config->listen, e) || !take_lock(c, e)
        || !cluster_dir_prepare(&c->dir, &changed, e) || !cluster_dir_version(&c->dir, &major, e)
        || !cluster_bin_find(config->bin_dir, major, &c->memory, &c->bin, e))
        return false;
    set_arguments(c, config->max_connections);
    if (!major && !cluster_dir_make(&c->dir, &c->bin, config->admin_password, e))
        return false;
    return run_or_take_over(c, changed, e);
}

bool cluster_start(const struct cluster_config *config, struct cluster **out, struct err *e)
{
    if (geteuid() == 0)
        return err_set(
            e, 500, "cluster_root",
            "PostgreSQL does not run as root: start as another user, or give BASALT_USER");
    CLEANUP(cluster_drop) struct cluster *c = cluster_new();
    if (!start(c, config, e))
        return false;
    *out = c;
    c = NULL;
    return true;
}

const char *cluster_conninfo(const struct cluster *c, struct arena *a)
{
    /* cluster_dir chooses a folder that needs no quotes */
    return arena_printf(a, "host=%s port=%d dbname=postgres", c->dir.sock, c->port).p;
}

bool cluster_find_bin(const char *setting, const char *data_dir, struct arena *a, const char **out,
                      struct err *e)
{
    struct cluster_bin b;
    struct cluster_dir dir;
    int major = 0;
    if (data_dir
        && (!cluster_dir_init(&dir, data_dir, a, e) || !cluster_dir_version(&dir, &major, e)))
        return false;
    if (!cluster_bin_find(setting, major, a, &b, e))
        return false;
    *out = b.folder;
    return true;
}

/* ---- the watch ---- */

static void watch_begin(void *arg);

static void log_failure(const struct cluster *c, const struct err *e)
{
    struct log_line l;
    log_begin(&l, LOG_ERROR, "cluster.restart_failed");
    log_cstr(&l, "data", c->dir.root);
    log_cstr(&l, "message", e->message);
    log_err(&l, e);
    log_end(&l);
}

/* On loop 0: the thread has nothing more to do. */
static void restarted(void *arg)
{
    struct cluster *c = arg;
    if (ending(c))
        return; /* cluster_stop joins */
    pthread_join(c->thread, NULL);
    pthread_mutex_lock(&c->lock);
    c->has_thread = false;
    pthread_mutex_unlock(&c->lock);
    watch_begin(c);
    if (c->on_up)
        c->on_up(c->ctx);
}

/* Under the lock that cluster_unwatch takes before the loops end, so that there is one to post to. */
static void tell_restarted(struct cluster *c)
{
    pthread_mutex_lock(&c->lock);
    if (!c->ending)
        loop_post(loop_at(0), restarted, c);
    pthread_mutex_unlock(&c->lock);
}

static void *restart_main(void *arg)
{
    struct cluster *c = arg;
    int exit_code, wait_ms = clock_mono_us() - c->started_us > STEADY_US ? 0 : BACKOFF_MIN_MS;
    process_wait(c->pid, 0, &exit_code); /* ours is reaped */
    while (nap(c, wait_ms)) {
        struct err e;
        if (start_fresh(c, &e)) {
            tell_restarted(c);
            return NULL;
        }
        if (ending(c))
            return NULL;
        log_failure(c, &e);
        wait_ms = wait_ms * 2 < BACKOFF_MIN_MS ? BACKOFF_MIN_MS : wait_ms * 2;
        if (wait_ms > BACKOFF_MAX_MS)
            wait_ms = BACKOFF_MAX_MS;
    }
    return NULL;
}

static void restart_again(struct timer *t);

static void restart_begin(struct cluster *c)
{
    pthread_mutex_lock(&c->lock);
    bool go = !c->ending && !c->has_thread;
    if (go)
        c->has_thread = pthread_create(&c->thread, NULL, restart_main, c) == 0;
    bool later = go && !c->has_thread; /* no memory or no thread left: it may pass */
    pthread_mutex_unlock(&c->lock);
    if (later)
        timer_arm(&c->again, loop_now_us() + BACKOFF_MAX_MS * CLOCK_MS, restart_again);
}

static void restart_again(struct timer *t)
{
    restart_begin((struct cluster *)(void *)((char *)t - offsetof(struct cluster, again)));
}

static void ended(void *arg)
{
    struct cluster *c = arg;
    process_watch_close(c->watch);
    c->watch = NULL;
    if (ending(c))
        return;
    restart_begin(c);
    if (c->on_down)
        c->on_down(c->ctx);
}

static void watch_begin(void *arg)
{
    struct cluster *c = arg;
    struct err e;
    if (ending(c))
        return;
    if (!process_watch_open(c->pid, ended, c, &c->watch, &e))
        ended(c); /* taken over and gone since */
}

static void trim_log(struct timer *t)
{
    struct cluster *c = (struct cluster *)(void *)((char *)t - offsetof(struct cluster, trim));
    cluster_log_trim(c->dir.log);
    timer_arm(t, loop_now_us() + TRIM_US, trim_log);
}

static void watch_first(void *arg)
{
    struct cluster *c = arg;
    if (ending(c))
        return;
    trim_log(&c->trim);
    watch_begin(c);
}

void cluster_watch(struct cluster *c, void (*on_down)(void *ctx), void (*on_up)(void *ctx),
                   void *ctx)
{
    c->on_down = on_down;
    c->on_up = on_up;
    c->ctx = ctx;
    loop_post(loop_at(0), watch_first, c);
}

static void watch_end(void *arg)
{
    struct cluster *c = arg;
    timer_disarm(&c->trim);
    timer_disarm(&c->again);
    process_watch_close(c->watch);
    c->watch = NULL;
}

static void set_ending(struct cluster *c)
{
    pthread_mutex_lock(&c->lock);
    c->ending = true;
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->lock);
}

void cluster_unwatch(struct cluster *c)
{
    set_ending(c);
    if (loop_current() && loop_index() == 0)
        watch_end(c);
    else
        loop_post(loop_at(0), watch_end, c);
}

/* ---- stopping ---- */

void cluster_stop(struct cluster *c, int timeout_ms)
{
    struct err e;
    bool was;
    int exit_code;
    set_ending(c);
    if (c->has_thread)
        pthread_join(c->thread, NULL);
    if (!cluster_proc_stop(c->dir.pg, timeout_ms, &was, &e))
        log_failure(c, &e);
    if (c->pid > 0)
        process_wait(c->pid, 0, &exit_code);
    unlink(c->dir.run);
    cluster_free(c);
}

static bool stop_dir(const char *data_dir, int timeout_ms, bool *was_running, struct err *e)
{
    CLEANUP(cluster_drop) struct cluster *c = cluster_new();
    return cluster_dir_init(&c->dir, data_dir, &c->memory, e)
           && cluster_proc_stop(c->dir.pg, timeout_ms, was_running, e);
}

/*
 * Root without CAP_SYS_PTRACE (a container) may not look into another user's process, which its
 * owner may: a child becomes the owner of the data folder. Its exit code says 0 ended, 1 none, 2.
 */
static bool stop_as_owner(const char *data_dir, const struct stat *st, int timeout_ms,
                          bool *was_running, struct err *e)
{
    pid_t child = fork();
    if (child == 0) {
        struct process_user owner = {st->st_uid, st->st_gid};
        bool was = false;
        bool ok = process_become(&owner, e) && stop_dir(data_dir, timeout_ms, &was, e);
        _exit(!ok ? 2 : was ? 0 : 1);
    }
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (child < 0 || !WIFEXITED(status) || WEXITSTATUS(status) > 1)
        return err_set(e, 500, "cluster_busy", "the database of %.100s could not be stopped",
                       data_dir);
    *was_running = WEXITSTATUS(status) == 0;
    return true;
}

bool cluster_stop_dir(const char *data_dir, int timeout_ms, bool *was_running, struct err *e)
{
    char pg[4096];
    struct stat st;
    *was_running = false;
    snprintf(pg, sizeof pg, "%s/pg", data_dir);
    if (stat(pg, &st) != 0)
        return true;
    /* pg may be a link that the folder's owner has pointed at somebody else's cluster */
    struct stat root;
    if (stat(data_dir, &root) == 0 && root.st_uid != 0)
        st = root;
    if (geteuid() == 0 && st.st_uid != 0)
        return stop_as_owner(data_dir, &st, timeout_ms, was_running, e);
    return stop_dir(data_dir, timeout_ms, was_running, e);
}
