/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Child processes and dropping privileges. Every descriptor of ours is O_CLOEXEC; children get
 * /dev/null on stdin and what is asked for on stdout and stderr.
 */
#ifndef RUNTIME_PROCESS_H
#define RUNTIME_PROCESS_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

struct process_spec {
    const char *const *argv;    /* NULL-terminated; argv[0] is an absolute path */
    const char *const *env;     /* NULL-terminated additions "A=b"; the rest is PATH, LANG=C.UTF-8 */
    const char *cwd;            /* NULL: / */
    int out_fd;                 /* stdout and stderr; -1: /dev/null */
    bool new_session;           /* setsid: survives our terminal and our SIGKILL */
};

/* Starts and forgets (the child is reaped by nobody: it is the caller's to wait for). */
MUST_CHECK bool process_spawn(const struct process_spec *s, pid_t *pid, struct err *e);
/* Blocking, for start-up and the CLI: runs to the end, output (both streams, at most 64 KiB) into out;
 * killed after timeout_ms (e 504). exit_code 128+n for a signal. */
MUST_CHECK bool process_run(const struct process_spec *s, int timeout_ms, struct buf *out, int *exit_code, struct err *e);

/* Start time in clock ticks since boot (field 22 of /proc/pid/stat); false when there is none or it is a zombie. */
bool process_start_time(pid_t pid, uint64_t *out);
/* Real path of the executable; false as above or without permission. */
bool process_exe(pid_t pid, char *out, size_t n);
/*
 * Watches a process that need not be our child, by pidfd, on the current loop; fn once, in a
 * callback, when it has ended. process_unwatch is safe after that.
 */
struct process_watch;
MUST_CHECK bool process_watch_open(pid_t pid, void (*fn)(void *ctx), void *ctx, struct process_watch **out, struct err *e);
void process_watch_close(struct process_watch *w);

/* The unprivileged user: made with useradd --system when missing (root only). */
struct process_user {
    uid_t uid;
    gid_t gid;
};
MUST_CHECK bool process_user_ensure(const char *name, struct process_user *out, struct err *e);
/* Whether that user could enter and write path (as root: tried in a forked child). */
bool process_user_can_write(const struct process_user *u, const char *path);
/* Gives up root for good: groups, gid, uid; no-new-privileges; verified. */
MUST_CHECK bool process_become(const struct process_user *u, struct err *e);

#endif
