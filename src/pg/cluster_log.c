/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/cluster_log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATH_BYTES = 4096,
    TAIL_BYTES = 4096,
    KEEP_BYTES = 8 << 20, /* a day of a noisy app, and nothing to a disk */
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

bool cluster_log_open(const char *path, int *fd, int64_t *size, struct err *e)
{
    struct stat st;
    int made = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (made < 0)
        return err_set(e, 500, "file_io", "cannot write %.100s: %s", path, strerrordesc_np(errno));
    *size = fstat(made, &st) == 0 ? st.st_size : 0;
    *fd = made;
    return true;
}

void cluster_log_tail(const char *path, int64_t from, struct buf *out)
{
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    char text[TAIL_BYTES];
    if (fd < 0 || fstat(fd, &st) != 0)
        return;
    if (st.st_size < from) /* trimmed meanwhile */
        from = 0;
    if (st.st_size - from > TAIL_BYTES)
        from = st.st_size - TAIL_BYTES;
    ssize_t got = pread(fd, text, sizeof text, from);
    if (got > 0)
        buf_add(out, text, (size_t)got);
}

/* ---- trimming ---- */

/* A copy, since the postmaster has the file open: renamed, it would go on writing into the old one. */
static bool copy_and_empty(const char *path)
{
    char older[PATH_BYTES + 4];
    snprintf(older, sizeof older, "%s.1", path);
    CLEANUP(close_fd) int in = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    CLEANUP(close_fd)
    int out = open(older, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (in < 0)
        return false;
    while (out >= 0 && sendfile(out, in, NULL, KEEP_BYTES) > 0)
        ;
    return ftruncate(in, 0) == 0; /* also when the copy failed: a full disk wants it most */
}

static void *trim_main(void *arg)
{
    copy_and_empty(arg);
    free(arg);
    return NULL;
}

void cluster_log_trim(const char *path)
{
    struct stat st;
    pthread_t thread;
    if (stat(path, &st) != 0 || st.st_size <= KEEP_BYTES)
        return;
    char *copy = strdup(path);
    if (!copy || pthread_create(&thread, NULL, trim_main, copy) != 0)
        free(copy); /* the next look tries again */
    else
        pthread_detach(thread);
}

/* ---- reading ---- */

bool cluster_log_is_full_disk(struct str log)
{
    size_t at;
    return str_find(log, S("No space left on device"), &at)
           || str_find(log, S("free disk space"), &at); /* the hint to a short write */
}

struct str cluster_log_reason(struct str log)
{
    static const struct str levels[] = {S_INIT("FATAL: "), S_INIT("PANIC: "), S_INIT("error: ")};
    size_t first = log.n, at;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (str_find(log, levels[i], &at) && at < first)
            first = at;
    if (first == log.n)
        return S("see its log");
    struct str line, rest;
    str_cut(str_from_at(log, first + levels[0].n), '\n', &line, &rest); /* all are of one length */
    return str_trim(line);
}
