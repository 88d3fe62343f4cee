/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "runtime/offload.h"

/*
 * Two pools of four threads instead of one of eight with permits: a write can stall its thread for
 * tens of milliseconds while the disk flushes, and a job that waits for a permit would either hold
 * a thread or need a second queue. So at most half of the threads can ever be writing, and reads
 * keep theirs.
 */
enum {
    HALF_THREADS = 4,
    QUEUE_MAX = 1024, /* jobs of at most 1 MiB each in practice; beyond it we are late anyway */
    CLOSE_TIMEOUT_MS = 5000,
    NOWAIT_MAX = 64 * 1024, /* copied on the loop from the page cache: about 10 µs */
    PATH_BYTES = 4096,
};

static struct offload_pool *readers, *writers;

/* "what: reason" in the log, the reason to the caller. */
static bool io_failed(const char *what, int code, struct err *e)
{
    if (code == ENOSPC || code == EDQUOT)
        err_set(e, 507, "disk_full", "The disk is full");
    else
        err_set(e, 500, "file_io", "A file could not be read or written");
    return err_detail(e, "%s: %s", what, strerrordesc_np(code));
}

bool file_pool_open(struct err *e)
{
    struct offload_config c = {
        .name = "file-read", .threads = HALF_THREADS, .queue_max = QUEUE_MAX};
    struct offload_pool *made = NULL;
    if (!offload_open(&c, &made, e))
        return false;
    c.name = "file-write";
    if (!offload_open(&c, &writers, e)) {
        offload_close(made, 0);
        return false;
    }
    readers = made;
    return true;
}

void file_pool_close(void)
{
    if (!readers)
        return;
    offload_close(readers, CLOSE_TIMEOUT_MS);
    offload_close(writers, CLOSE_TIMEOUT_MS);
    readers = writers = NULL;
}

/* ---- closing ---- */

struct close_job {
    struct offload_job job;
    int fd;
};

static void close_run(struct offload_job *job)
{
    struct close_job *j = (struct close_job *)job;
    close(j->fd);
    j->fd = -1;
}

static void close_drop(struct offload_job *job)
{
    if (((struct close_job *)job)->fd >= 0)
        close_run(job); /* the pool was closed before it came to this one */
    free(job);
}

void file_close(int fd)
{
    struct close_job *j = writers ? calloc(1, sizeof(*j)) : NULL;
    if (j) {
        *j = (struct close_job){.job = {.run = close_run, .drop = close_drop}, .fd = fd};
        if (offload_detach(writers, &j->job))
            return;
        free(j);
    }
    close(fd);
}

/* ---- jobs on an open file ---- */

/*
 * A read or write under way. The descriptor is the job's own duplicate: a fiber that gave up may
 * close its own, whose number the next connection then gets. The bytes are behind the struct.
 */
struct io_job {
    struct offload_job job;
    int fd;
    int code; /* errno, 0 when well */
    int64_t offset;
    size_t n; /* to do */
    size_t done;
    char bytes[];
};

static void io_close(struct io_job *j)
{
    if (j->fd >= 0)
        close(j->fd);
    j->fd = -1;
}

/* Only a job that never ran still has its descriptor. */
static void io_drop(struct offload_job *job)
{
    struct io_job *j = (struct io_job *)job;
    if (j->fd >= 0)
        file_close(j->fd);
    free(j);
}

static void io_free(struct io_job **j)
{
    free(*j);
}

static void io_read(struct offload_job *job)
{
    struct io_job *j = (struct io_job *)job;
    while (j->done < j->n) {
        ssize_t got = pread(j->fd, j->bytes + j->done, j->n - j->done, j->offset + (off_t)j->done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            j->code = errno;
        if (got <= 0)
            break;
        j->done += (size_t)got;
    }
    io_close(j);
}

static void io_write(struct offload_job *job)
{
    struct io_job *j = (struct io_job *)job;
    while (j->done < j->n) {
        ssize_t put = pwrite(j->fd, j->bytes + j->done, j->n - j->done, j->offset + (off_t)j->done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0) {
            j->code = errno;
            break;
        }
        j->done += (size_t)put;
    }
    io_close(j);
}

static struct io_job *io_make(int fd, size_t n, int64_t offset, void (*run)(struct offload_job *),
                              struct err *e)
{
    struct io_job *j = n < SIZE_MAX - sizeof(*j) ? malloc(sizeof(*j) + n) : NULL;
    if (!j) {
        io_failed("memory for a file job", ENOMEM, e);
        return NULL;
    }
    *j = (struct io_job){.job = {.run = run, .drop = io_drop}, .offset = offset, .n = n};
    j->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (j->fd < 0) {
        io_failed("duplicating a descriptor", errno, e);
        free(j);
        return NULL;
    }
    return j;
}

bool file_write_at(int fd, struct str bytes, int64_t offset, struct err *e)
{
    CLEANUP(io_free) struct io_job *j = io_make(fd, bytes.n, offset, io_write, e);
    if (!j)
        return false;
    memcpy(j->bytes, bytes.p ? bytes.p : "", bytes.n);
    if (!offload_run(writers, &j->job, e)) {
        j = NULL; /* the pool's now */
        return false;
    }
    return j->code ? io_failed("write", j->code, e) : true;
}

/* What the page cache holds, without waiting; *end when the file ends there. */
static size_t read_resident(int fd, char *p, size_t n, int64_t offset, bool *end)
{
    size_t done = 0;
    while (done < n) {
        struct iovec piece = {p + done, n - done};
        ssize_t got = preadv2(fd, &piece, 1, offset + (off_t)done, RWF_NOWAIT);
        *end = got == 0;
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return done;
}

/* The rest of a read, by a thread; *done grows by what there was. */
static bool read_in_pool(int fd, char *p, size_t n, int64_t offset, size_t *done, struct err *e)
{
    CLEANUP(io_free) struct io_job *j = io_make(fd, n, offset, io_read, e);
    if (!j)
        return false;
    if (!offload_run(readers, &j->job, e)) {
        j = NULL; /* the pool's now */
        return false;
    }
    if (j->code)
        return io_failed("read", j->code, e);
    memcpy(p, j->bytes, j->done);
    *done += j->done;
    return true;
}

bool file_read_at(int fd, size_t n, int64_t offset, struct arena *a, struct str *out, struct err *e)
{
    char *p = arena_try(a, n ? n : 1);
    if (!p)
        return io_failed("memory to read into", ENOMEM, e);
    bool end = n == 0;
    size_t done = n <= NOWAIT_MAX ? read_resident(fd, p, n, offset, &end) : 0;
    if (!end && done < n && !read_in_pool(fd, p + done, n - done, offset + (int64_t)done, &done, e))
        return false;
    *out = str_of(p, done);
    return true;
}

/* ---- temporary files ---- */

struct open_job {
    struct offload_job job;
    int fd;
    int code;
    char path[PATH_BYTES]; /* the folder; with room for a name */
};

/* For file systems without O_TMPFILE. */
static int open_and_unlink(char *folder)
{
    static const char name[] = "/basalt-XXXXXX";
    size_t n = strlen(folder);
    if (n + sizeof(name) > PATH_BYTES) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(folder + n, name, sizeof(name));
    int fd = mkostemp(folder, O_CLOEXEC);
    if (fd >= 0)
        unlink(folder);
    return fd;
}

static void open_run(struct offload_job *job)
{
    struct open_job *j = (struct open_job *)job;
    j->fd = open(j->path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (j->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
        j->fd = open_and_unlink(j->path);
    if (j->fd < 0)
        j->code = errno;
}

/* Nobody took the file: it goes. */
static void open_drop(struct offload_job *job)
{
    struct open_job *j = (struct open_job *)job;
    if (j->fd >= 0)
        close(j->fd); /* empty, so at no cost */
    free(j);
}

bool file_open_unlinked(struct str dir, int *fd, struct err *e)
{
    if (dir.n >= PATH_BYTES)
        return io_failed("temporary file", ENAMETOOLONG, e);
    struct open_job *j = malloc(sizeof(*j));
    if (!j)
        return io_failed("temporary file", ENOMEM, e);
    j->job = (struct offload_job){.run = open_run, .drop = open_drop};
    j->fd = -1;
    j->code = 0;
    memcpy(j->path, dir.p, dir.n);
    j->path[dir.n] = '\0';
    if (!offload_run(writers, &j->job, e))
        return false; /* the pool's now */
    int made = j->fd, code = j->code;
    free(j);
    if (made < 0)
        return io_failed("temporary file", code, e);
    *fd = made;
    return true;
}

/* ---- blocking, for start-up and the CLI ---- */

/* Names the path: the reader is whoever started the program. */
static bool now_failed(const char *verb, const char *path, int code, struct err *e)
{
    bool full = code == ENOSPC || code == EDQUOT;
    err_set(e, full ? 507 : 500, full ? "disk_full" : "file_io", "cannot %s %.100s: %s", verb, path,
            strerrordesc_np(code));
    return err_detail(e, "%s %s: %s", verb, path, strerrordesc_np(code));
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

bool file_now_read(const char *path, size_t max, struct buf *out, struct err *e)
{
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return err_set(e, 404, "file_missing", "%.120s does not exist", path);
    if (fd < 0)
        return now_failed("read", path, errno, e);
    size_t begin = out->n;
    for (;;) {
        char piece[8192];
        ssize_t got = read(fd, piece, sizeof(piece));
        if (got < 0 && errno == EINTR)
            continue;
        int code = got < 0 ? errno : (size_t)got > max - (out->n - begin) ? EFBIG : 0;
        if (!code && got == 0)
            return true;
        if (!code) {
            buf_add(out, piece, (size_t)got);
            code = out->failed ? EFBIG : 0;
        }
        if (code) {
            out->n = begin;
            return now_failed("read", path, code, e);
        }
    }
}

static bool write_all(int fd, struct str s)
{
    while (s.n > 0) {
        ssize_t put = write(fd, s.p, s.n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        s = str_from_at(s, (size_t)put);
    }
    return true;
}

/* The folder that path is in; PATH_BYTES of out. */
static void folder_of(const char *path, char *out)
{
    snprintf(out, PATH_BYTES, "%s", path);
    char *slash = strrchr(out, '/');
    if (!slash)
        snprintf(out, PATH_BYTES, ".");
    else
        slash[slash == out] = '\0'; /* "/" stays */
}

static bool sync_folder_of(const char *path)
{
    char folder[PATH_BYTES];
    folder_of(path, folder);
    CLEANUP(close_fd) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0;
}

/*
 * What root writes into another user's folder is for that user to read: a command started as root
 * must not lock the server out of its own files.
 */
static bool give_to_folder(int fd, const char *path)
{
    char folder[PATH_BYTES];
    struct stat st;
    folder_of(path, folder);
    return geteuid() != 0
           || (stat(folder, &st) == 0 && (st.st_uid == 0 || fchown(fd, st.st_uid, st.st_gid) == 0));
}

/* path.new with these bytes, on the disk. A leftover of a crash is replaced, a link not followed. */
static bool write_new(const char *path_new, struct str bytes, unsigned mode)
{
    unlink(path_new);
    CLEANUP(close_fd) int fd = open(path_new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd >= 0 && give_to_folder(fd, path_new) && fchmod(fd, mode) == 0 && write_all(fd, bytes)
           && fsync(fd) == 0;
}

bool file_now_write(const char *path, struct str bytes, unsigned mode, struct err *e)
{
    char path_new[PATH_BYTES];
    int n = snprintf(path_new, sizeof(path_new), "%s.new", path);
    if (n < 0 || (size_t)n >= sizeof(path_new))
        return now_failed("write", path, ENAMETOOLONG, e);
    if (!write_new(path_new, bytes, mode) || rename(path_new, path) != 0) {
        int code = errno;
        unlink(path_new);
        return now_failed("write", path, code, e);
    }
    return sync_folder_of(path) ? true : now_failed("sync the folder of", path, errno, e);
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Whatever the umask is; not of what somebody else has put in its place meanwhile. */
static bool set_mode(const char *path, unsigned mode)
{
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 && fchmod(fd, mode) == 0;
}

/* One folder, which may be there already, or have been made by someone else just now. */
static int make_folder(const char *path, unsigned mode)
{
    if (mkdir(path, mode) == 0)
        return set_mode(path, mode) ? 0 : errno;
    int code = errno;
    return is_folder(path) ? 0 : code == EEXIST ? ENOTDIR : code;
}

bool file_now_mkdirs(const char *path, unsigned mode, struct err *e)
{
    char part[PATH_BYTES];
    int n = snprintf(part, sizeof(part), "%s", path);
    if (n < 0 || (size_t)n >= sizeof(part))
        return now_failed("make", path, ENAMETOOLONG, e);
    for (char *p = part + 1; n > 0; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char was = *p;
        *p = '\0';
        int code = make_folder(part, mode);
        if (code)
            return now_failed("make the folder", part, code, e);
        if (was == '\0')
            return true;
        *p = was;
    }
    return now_failed("make the folder", path, ENOENT, e); /* "" */
}

bool file_now_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}
