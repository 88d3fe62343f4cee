/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to pg/: the log of the private cluster. The postmaster writes it by itself, appending, and
 * outlives us: no pipe of ours and no log process of PostgreSQL's. Each error of each client is a
 * line, so that it is kept below a size here.
 */
#ifndef PG_CLUSTER_LOG_H
#define PG_CLUSTER_LOG_H

#include "base/buf.h"
#include "base/err.h"

/* For a new postmaster, made 0600; *size: where its lines will begin. The caller closes fd. */
MUST_CHECK bool cluster_log_open(const char *path, int *fd, int64_t *size, struct err *e);
/* What was written from byte `from` on, at most the last 4 KiB of it; nothing when there is no log. */
void cluster_log_tail(const char *path, int64_t from, struct buf *out);
/*
 * When it is over 8 MiB its content becomes path.1 and it begins anew; lines written in that moment
 * may be lost. Looks at the size alone, the rest is done by a thread: for a callback, now and then.
 */
void cluster_log_trim(const char *path);

/* Of what PostgreSQL's programs wrote: the first reason they give, and whether it is a full disk. */
struct str cluster_log_reason(struct str log);
bool cluster_log_is_full_disk(struct str log);

#endif
