/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to pg/: the processes of a data folder, seen through its postmaster.pid and /proc. A
 * process belongs to the folder when its executable is a PostgreSQL program and its working folder
 * is that folder (PostgreSQL's processes all stay in it); that holds also for backends whose
 * postmaster was killed. Signals go through pidfds, never to a number that was used again.
 */
#ifndef PG_CLUSTER_PROC_H
#define PG_CLUSTER_PROC_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

enum cluster_proc_state {
    CLUSTER_PROC_NONE,     /* no postmaster.pid, or its process is gone or another's */
    CLUSTER_PROC_STARTING, /* also in crash recovery */
    CLUSTER_PROC_READY,
    CLUSTER_PROC_STOPPING,
};

/* What postmaster.pid in the data folder pg says of a living postmaster; *pid is 0 for NONE. */
enum cluster_proc_state cluster_proc_look(const char *pg, pid_t *pid);
/* The arguments it was started with, each with its NUL, appended to out. */
bool cluster_proc_arguments(pid_t pid, struct buf *out);
/* Signals a process of that folder; false when it is not (any more) one of its. */
bool cluster_proc_signal(const char *pg, pid_t pid, int signo);
/* SIGCONT to all of them: one that was stopped answers nobody and does not end when asked to. */
void cluster_proc_wake(const char *pg);
/*
 * SIGKILL to every process of the folder, and waits until they are gone: for what a killed
 * postmaster left, where crash recovery follows in any case and nothing is gained by asking.
 * e 500 "cluster_busy" when some will not go within timeout_ms.
 */
MUST_CHECK bool cluster_proc_end_all(const char *pg, int timeout_ms, struct err *e);
/*
 * Fast shutdown (SIGINT), waits; SIGQUIT after timeout_ms, then what is left is killed. True with
 * nothing left. *was_running: there was a postmaster.
 */
MUST_CHECK bool cluster_proc_stop(const char *pg, int timeout_ms, bool *was_running, struct err *e);

#endif
