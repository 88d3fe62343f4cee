/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to pg/: the files of the private cluster. DIR/pg is the data folder, made whole or not at
 * all (initdb into DIR/pg.new, synced, renamed); DIR/pg.conf and DIR/pg.hba are ours and written
 * anew when they differ; DIR/sock (0700) holds the socket, DIR/log the log, DIR/pg.run who runs.
 */
#ifndef PG_CLUSTER_DIR_H
#define PG_CLUSTER_DIR_H

#include "pg/cluster_bin.h"

struct cluster_dir {
    const char *root; /* DIR */
    const char *pg, *making, *conf, *hba, *run, *lock, *password, *log;
    const char *sock;    /* folder of the socket */
    bool sock_elsewhere; /* a short folder outside DIR */
};

/* e 500 "data_folder" when root is no absolute path or too long. */
MUST_CHECK bool cluster_dir_init(struct cluster_dir *d, const char *root, struct arena *a,
                                 struct err *e);
/* DIR itself, its sub-folders, the socket's folder and both files; *changed: a file was not as now. */
MUST_CHECK bool cluster_dir_prepare(const struct cluster_dir *d, bool *changed, struct err *e);
/* Version of the data folder, 0 when there is none yet. e 500 "data_folder" when it is none. */
MUST_CHECK bool cluster_dir_version(const struct cluster_dir *d, int *major, struct err *e);
/* initdb with supabase_admin and its password; all or nothing. Blocking, about a second. */
MUST_CHECK bool cluster_dir_make(const struct cluster_dir *d, const struct cluster_bin *bin,
                                 const char *password, struct err *e);
/* Who runs (pid and start time), for the next server after our SIGKILL. Not synced: void after a reboot. */
MUST_CHECK bool cluster_dir_record(const struct cluster_dir *d, int pid, uint64_t start_time,
                                   struct err *e);
bool cluster_dir_is_recorded(const struct cluster_dir *d, int pid);

#endif
