/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File I/O from fibers through the file pool (8 threads, at most half of them writing or syncing).
 * Buffers handed in are copied or owned by the job, never a fiber's stack. Also the few blocking
 * helpers that start-up and the CLI use, named file_now_…: never on a running loop.
 */
#ifndef RUNTIME_FILE_H
#define RUNTIME_FILE_H

#include "base/buf.h"
#include "base/err.h"

/* Once a process, before the first of the calls below that wait. */
MUST_CHECK bool file_pool_open(struct err *e);
/* Finishes what is queued, at most 5 s for each half. */
void file_pool_close(void);

/* An unlinked temporary file in dir, O_CLOEXEC. */
MUST_CHECK bool file_open_unlinked(struct str dir, int *fd, struct err *e);
/* Appends a copy of bytes. e: 507 "disk_full" on ENOSPC, else 500 "file_io" with errno in detail. */
MUST_CHECK bool file_write_at(int fd, struct str bytes, int64_t offset, struct err *e);
/*
 * Closes later, in the pool: the last close of a large unlinked file frees its blocks, which takes
 * milliseconds. At once when the pool is full or not open. From any thread.
 */
void file_close(int fd);
/* Reads up to n bytes into the arena; a short result is the end of the file. */
MUST_CHECK bool file_read_at(int fd, size_t n, int64_t offset, struct arena *a, struct str *out,
                             struct err *e);

/* Whole file, at most max bytes. e 404 "file_missing" when it does not exist. */
MUST_CHECK bool file_now_read(const char *path, size_t max, struct buf *out, struct err *e);
/*
 * Atomic and durable: writes path.new (mode), fsync, rename, fsync of the folder. Written by root it
 * belongs to whom the folder belongs.
 */
MUST_CHECK bool file_now_write(const char *path, struct str bytes, unsigned mode, struct err *e);
/* mkdir -p with mode for what is made. */
MUST_CHECK bool file_now_mkdirs(const char *path, unsigned mode, struct err *e);
bool file_now_exists(const char *path);

#endif
