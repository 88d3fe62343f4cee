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
    const char *const *argv; /* NULL-terminated; argv[0] is an absolute path */
    const char *const *env;  /* NULL-terminated additions "A=b"; the rest is PATH, LANG=C.UTF-8 */
    const char *cwd;         /* NULL: / */
    int out_fd;              /* stdout and stderr; -1: /dev/null. process_run has its own */
    bool new_session;        /* setsid: survives our terminal and our SIGKILL */
};

/* Starts and forgets (the child is reaped by nobody: it is the caller's to wait for). */
MUST_CHECK bool process_spawn(const struct process_spec *s, pid_t *pid, struct err *e);
/* Blocking, for start-up and the CLI: runs to the end, output (both streams, at most 64 KiB) into out;
 * killed after timeout_ms (e 504). exit_code 128+n for a signal. */
MUST_CHECK bool process_run(const struct process_spec *s, int timeout_ms, struct buf *out,
                            int *exit_code, struct err *e);

/*
 * Waits at most timeout_ms (0: looks once) until a process, child or not, has ended. Blocking.
 * For our own child: exit_code as process_run says, and it is reaped; else *exit_code is -1.
 */
bool process_wait(pid_t pid, int timeout_ms, int *exit_code);

/*
 * As process 1 of a container, whose children all orphans become: clears the ended ones away. Only
 * while no child is waited for elsewhere.
 */
void process_reap_orphans(void);

/* Start time in clock ticks since boot (field 22 of /proc/pid/stat); false when there is none or it is a zombie. */
bool process_start_time(pid_t pid, uint64_t *out);
/* Real path of the executable; false as above or without permission. */
bool process_exe(pid_t pid, char *out, size_t n);
/* Its effective user; false as above. */
bool process_owner(pid_t pid, uid_t *out);
/* No zombie, and the one meant: that started then (0: any). */
bool process_alive(pid_t pid, uint64_t start_time);
/*
 * Watches a process that need not be our child, by pidfd, on the current loop; fn once, in a
 * callback, when it has ended. The owner closes the watch, before or after that, also within fn.
 * e: 404 "process_gone" when there is none (a child that ended and was not waited for is watched).
 */
struct process_watch;
MUST_CHECK bool process_watch_open(pid_t pid, void (*fn)(void *ctx), void *ctx,
                                   struct process_watch **out, struct err *e);
void process_watch_close(struct process_watch *w);

/*
 * The unprivileged user: made with useradd --system when missing (root only). e, status 500:
 * "user_invalid" (no user name, or root itself), "user_missing", "user_failed" (useradd's reason).
 */
struct process_user {
    uid_t uid;
    gid_t gid;
};
MUST_CHECK bool process_user_ensure(const char *name, struct process_user *out, struct err *e);
/*
 * Whether that user could enter and write path (as root: tried in a forked child with the user's
 * groups; else with our own rights). A path that does not exist passes when the user can enter its
 * nearest existing parent folder, since root then makes it and gives it to the user; without root
 * that folder must be writable too.
 */
bool process_user_can_write(const struct process_user *u, const char *path);
/*
 * Gives up root for good: groups, gid, uid, $HOME, then process_seal; verified. Also passes when we are
 * that user already. Open descriptors, such as listeners on low ports, stay open.
 */
MUST_CHECK bool process_become(const struct process_user *u, struct err *e);
/*
 * Raises the limit of open descriptors to `wanted`, or as near as the system lets; returns what it
 * is then. Children inherit it.
 */
unsigned process_files_raise(unsigned wanted);
/*
 * First thing in main, against what whoever started us has left: descriptors 0 to 2 closed (opened as
 * /dev/null, before another file gets the number), signals blocked, SIGCHLD ignored (we would never
 * see a child's end).
 */
void process_begin(void);
/*
 * No new privileges (set-uid programs run as we do) and not dumpable: no core file, no ptrace and no
 * reading of our memory by others with our uid, since secrets are in it. For children only the first.
 */
MUST_CHECK bool process_seal(struct err *e);

#endif
