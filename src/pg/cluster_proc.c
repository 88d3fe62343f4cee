/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/cluster_proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "runtime/file.h"
#include "runtime/process.h"

enum {
    PIDFILE_MAX = 4096,
    PIDS_MAX = 1024, /* of one scan; the scan is repeated until nothing is found */
    FAST_LOOK_MS = 1000,
    QUIT_MS = 5000, /* an immediate shutdown writes nothing */
    KILL_MS = 5000,
    ARGUMENTS_MAX = 64 * 1024,
    STATUS_LINE = 8, /* of postmaster.pid (PostgreSQL's pidfile.h), from version 10 on */
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* ---- who belongs to a folder ---- */

static bool is_program(pid_t pid)
{
    char exe[4096];
    if (!process_exe(pid, exe, sizeof exe))
        return false;
    const char *name = strrchr(exe, '/');
    return name && (strcmp(name, "/postgres") == 0 || strcmp(name, "/initdb") == 0);
}

/* By identity, not by name: the folder may be reached through links. */
static bool works_in(pid_t pid, const struct stat *folder)
{
    char link[64];
    struct stat st;
    snprintf(link, sizeof link, "/proc/%d/cwd", (int)pid);
    return stat(link, &st) == 0 && st.st_dev == folder->st_dev && st.st_ino == folder->st_ino;
}

static bool belongs(pid_t pid, const struct stat *folder)
{
    return works_in(pid, folder) && is_program(pid);
}

static bool signal_checked(const struct stat *folder, pid_t pid, int signo)
{
    CLEANUP(close_fd) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0u);
    /* looked at after the pidfd was had: it is the process that the pidfd means, or none */
    if (!belongs(pid, folder))
        return false;
    if (pidfd < 0) /* a kernel or a sandbox without pidfd */
        return kill(pid, signo) == 0;
    return syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0u) == 0;
}

bool cluster_proc_signal(const char *pg, pid_t pid, int signo)
{
    struct stat folder;
    return pid > 0 && stat(pg, &folder) == 0 && signal_checked(&folder, pid, signo);
}

static size_t list(const struct stat *folder, pid_t *pids)
{
    size_t n = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *x; d && n < PIDS_MAX && (x = readdir(d));) {
        int64_t pid;
        if (str_to_i64(str_from(x->d_name), &pid) && belongs((pid_t)pid, folder))
            pids[n++] = (pid_t)pid;
    }
    if (d)
        closedir(d);
    return n;
}

/* ---- postmaster.pid ---- */

static struct str line_of(struct str text, int number)
{
    struct str line = {0};
    for (bool more = true; number > 0; number--) {
        if (!more)
            return (struct str){0};
        more = str_cut(text, '\n', &line, &text);
    }
    return str_trim(line);
}

static enum cluster_proc_state state_of(struct str status)
{
    if (str_is(status, "ready") || str_is(status, "standby"))
        return CLUSTER_PROC_READY;
    return str_is(status, "stopping") ? CLUSTER_PROC_STOPPING : CLUSTER_PROC_STARTING;
}

enum cluster_proc_state cluster_proc_look(const char *pg, pid_t *pid)
{
    char path[4096];
    CLEANUP(buf_free) struct buf text;
    struct err e;
    struct stat folder;
    int64_t n = 0;
    *pid = 0;
    buf_init(&text, PIDFILE_MAX);
    snprintf(path, sizeof path, "%s/postmaster.pid", pg);
    if (stat(pg, &folder) != 0 || !file_now_read(path, PIDFILE_MAX, &text, &e)
        || !str_to_i64(line_of(buf_view(&text), 1), &n) || n <= 0 || n > INT32_MAX
        || !belongs((pid_t)n, &folder))
        return CLUSTER_PROC_NONE;
    *pid = (pid_t)n;
    return state_of(line_of(buf_view(&text), STATUS_LINE));
}

bool cluster_proc_arguments(pid_t pid, struct buf *out)
{
    char path[64];
    struct err e;
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    return file_now_read(path, ARGUMENTS_MAX, out, &e);
}

/* ---- ending ---- */

/* Room for one scan, in *room. */
static pid_t *pids_in(struct buf *room)
{
    buf_init(room, PIDS_MAX * sizeof(pid_t));
    BUG(!buf_reserve(room, PIDS_MAX * sizeof(pid_t)));
    return (pid_t *)(void *)room->p;
}

void cluster_proc_wake(const char *pg)
{
    CLEANUP(buf_free) struct buf room;
    pid_t *pids = pids_in(&room);
    struct stat folder;
    size_t n = stat(pg, &folder) == 0 ? list(&folder, pids) : 0;
    for (size_t i = 0; i < n; i++)
        signal_checked(&folder, pids[i], SIGCONT);
}

bool cluster_proc_end_all(const char *pg, int timeout_ms, struct err *e)
{
    CLEANUP(buf_free) struct buf room;
    pid_t *pids = pids_in(&room);
    struct stat folder;
    if (stat(pg, &folder) != 0)
        return true; /* nobody works in what is not there */
    int64_t end = clock_mono_us() + timeout_ms * CLOCK_MS;
    for (size_t n; (n = list(&folder, pids)) > 0;) {
        for (size_t i = 0; i < n; i++)
            signal_checked(&folder, pids[i], SIGKILL);
        for (size_t i = 0; i < n; i++) {
            int exit_code, left = (int)((end - clock_mono_us()) / CLOCK_MS);
            if (!process_wait(pids[i], left > 0 ? left : 0, &exit_code))
                return err_set(e, 500, "cluster_busy",
                               "process %d of the data folder %.60s does not end, also not by"
                               " SIGKILL",
                               (int)pids[i], pg);
        }
    }
    return true;
}

/* Some process of the folder replays the log: its title is "postgres: startup recovering …". */
static bool recovers(const char *pg)
{
    CLEANUP(buf_free) struct buf room;
    pid_t *pids = pids_in(&room);
    struct stat folder;
    size_t n = stat(pg, &folder) == 0 ? list(&folder, pids) : 0, at;
    bool found = false;
    for (size_t i = 0; i < n && !found; i++) {
        CLEANUP(buf_free) struct buf title;
        buf_init(&title, ARGUMENTS_MAX);
        found = cluster_proc_arguments(pids[i], &title)
                && str_starts(buf_view(&title), S("postgres: "))
                && str_find(buf_view(&title), S("startup"), &at);
    }
    return found;
}

/*
 * Whether it ended. When a backend crashes about then, PostgreSQL 15.20 waits for ever for a checkpoint
 * that nobody makes: a recovery that goes on after a second is not waited for.
 */
static bool wait_fast(const char *pg, pid_t pid, int timeout_ms)
{
    int exit_code;
    int64_t end = clock_mono_us() + timeout_ms * CLOCK_MS;
    for (int64_t left; (left = end - clock_mono_us()) > 0;) {
        if (process_wait(pid, left < CLOCK_S ? (int)(left / CLOCK_MS) : FAST_LOOK_MS, &exit_code))
            return true;
        if (recovers(pg))
            return false;
    }
    return false;
}

bool cluster_proc_stop(const char *pg, int timeout_ms, bool *was_running, struct err *e)
{
    pid_t pid;
    int exit_code;
    *was_running = cluster_proc_look(pg, &pid) != CLUSTER_PROC_NONE;
    if (*was_running && cluster_proc_signal(pg, pid, SIGINT)) {
        cluster_proc_wake(pg);
        if (!wait_fast(pg, pid, timeout_ms)) {
            cluster_proc_signal(pg, pid, SIGQUIT);
            process_wait(pid, QUIT_MS, &exit_code);
        }
    }
    return cluster_proc_end_all(pg, KILL_MS, e);
}
