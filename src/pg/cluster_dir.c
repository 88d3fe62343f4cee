/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/cluster_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pg/cluster_log.h"
#include "pg/cluster_proc.h"
#include "runtime/file.h"
#include "runtime/process.h"

enum {
    ROOT_MAX = 2000,
    SOCKET_PATH_MAX = 100, /* sockaddr_un has 107; a few for whoever adds a digit to the port */
    INITDB_MS = 120000,    /* a second on any disk; two minutes on one that is drowning */
    LEFTOVER_MS = 5000,
    SMALL_FILE = 64 * 1024,
    WALK_FDS = 16,
};

/*
 * Read after the data folder's own postgresql.conf, before ALTER SYSTEM's postgresql.auto.conf:
 * whoever needs other sizes says ALTER SYSTEM. What the server depends on is on the command line.
 */
static const char conf_text[] =
    "# Written by basalt at every start. Change settings with ALTER SYSTEM instead.\n"
    "include_if_exists = 'pg/postgresql.conf'\n"
    "shared_buffers = 32MB\n" /* idle, only what was touched counts; the kernel caches the rest */
    "huge_pages = off\n"
    "wal_level = replica\n"
    "max_wal_senders = 0\n"
    "max_replication_slots = 0\n"
    "max_logical_replication_workers = 0\n" /* no launcher process */
    "max_prepared_transactions = 0\n"
    "max_wal_size = 128MB\n" /* crash recovery reads at most this: 200 MB took it 0.7 s of CPU */
    "min_wal_size = 64MB\n"
    "recovery_init_sync_method = syncfs\n" /* one call instead of a thousand fsyncs */
    "jit = off\n"
    "client_connection_check_interval = 1s\n" /* a query whose client was killed ends */
    "tcp_keepalives_idle = 60\n"
    "timezone = 'UTC'\n"
    "log_timezone = 'UTC'\n"
    "log_destination = 'stderr'\n"
    "logging_collector = off\n"
    "log_min_messages = warning\n"
    "log_line_prefix = '%m [%p] %q%u@%d '\n"
    /* rows (DETAIL) and statements can hold password hashes, tokens and addresses */
    "log_error_verbosity = terse\n"
    "log_min_error_statement = panic\n";

/* The superuser comes through the socket only; nothing is trusted. */
static const char hba_text[] = "# Written by basalt at every start.\n"
                               "local all all scram-sha-256\n"
                               "host all supabase_admin all reject\n"
                               "host all all all scram-sha-256\n";

/* ---- names ---- */

/* What libpq, the server's list of folders and URLs would read as more than a path. */
static bool plain(const char *path)
{
    return path[strcspn(path, " ,'\"\\\t\n")] == '\0';
}

/* FNV-1a: the same short folder for the same DIR from every process. */
static uint64_t digest(const char *s)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 0x100000001b3u;
    return h;
}

bool cluster_dir_init(struct cluster_dir *d, const char *root, struct arena *a, struct err *e)
{
    size_t n = strlen(root);
    if (root[0] != '/' || n > ROOT_MAX)
        return err_set(e, 500, "data_folder", "the data folder %.100s: %s", root,
                       n > ROOT_MAX ? "the path is too long" : "not an absolute path");
    *d = (struct cluster_dir){
        .root = arena_str(a, str_from(root)).p,
        .pg = arena_printf(a, "%s/pg", root).p,
        .making = arena_printf(a, "%s/pg.new", root).p,
        .conf = arena_printf(a, "%s/pg.conf", root).p,
        .hba = arena_printf(a, "%s/pg.hba", root).p,
        .run = arena_printf(a, "%s/pg.run", root).p,
        .lock = arena_printf(a, "%s/pg.lock", root).p,
        .password = arena_printf(a, "%s/pg.password", root).p,
        .log = arena_printf(a, "%s/log/postgres.log", root).p,
        .sock = arena_printf(a, "%s/sock", root).p,
    };
    d->sock_elsewhere = n + strlen("/sock/.s.PGSQL.65535") > SOCKET_PATH_MAX || !plain(root);
    if (d->sock_elsewhere) /* not /run/user: that goes away when its user logs out */
        d->sock =
            arena_printf(a, "/tmp/basalt-%u-%016" PRIx64, (unsigned)geteuid(), digest(root)).p;
    return true;
}

/* ---- small files ---- */

static bool io_failed(const char *verb, const char *path, int code, struct err *e)
{
    bool full = code == ENOSPC || code == EDQUOT;
    return err_set(e, full ? 507 : 500, full ? "disk_full" : "file_io", "cannot %s %.100s: %s",
                   verb, path, strerrordesc_np(code));
}

static bool same_text(const char *path, struct str text)
{
    CLEANUP(buf_free) struct buf there;
    struct err e;
    buf_init(&there, SMALL_FILE);
    return file_now_read(path, SMALL_FILE, &there, &e) && str_eq(buf_view(&there), text);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* For what is written again at the next start and need not outlive a power cut. */
static bool write_unsynced(const char *path, struct str text, struct err *e)
{
    unlink(path);
    CLEANUP(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text.p, text.n) != (ssize_t)text.n)
        return io_failed("write", path, errno, e);
    return true;
}

static bool keep_text(const char *path, struct str text, bool *changed, struct err *e)
{
    if (same_text(path, text))
        return true;
    *changed = true;
    return write_unsynced(path, text, e);
}

/* ---- preparing ---- */

/* In /tmp anybody can make a folder first: it must be a real one, ours, and closed to others. */
static bool own_folder(const char *path, struct err *e)
{
    struct stat st;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return io_failed("make the folder", path, errno, e);
    if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid()
        || (st.st_mode & 077) != 0)
        return err_set(e, 500, "socket_folder",
                       "%.60s, the folder for the database's socket, belongs to somebody else or is"
                       " open to others: remove it",
                       path);
    return true;
}

static bool make_folders(const struct cluster_dir *d, struct err *e)
{
    char log[ROOT_MAX + 8];
    snprintf(log, sizeof log, "%s/log", d->root);
    if (!file_now_mkdirs(d->root, 0700, e) || !file_now_mkdirs(log, 0700, e))
        return false;
    return own_folder(d->sock, e);
}

bool cluster_dir_prepare(const struct cluster_dir *d, bool *changed, struct err *e)
{
    *changed = false;
    return make_folders(d, e) && keep_text(d->conf, S(conf_text), changed, e)
           && keep_text(d->hba, S(hba_text), changed, e);
}

bool cluster_dir_version(const struct cluster_dir *d, int *major, struct err *e)
{
    char path[ROOT_MAX + 32];
    CLEANUP(buf_free) struct buf text;
    struct stat st;
    int64_t n = 0;
    *major = 0;
    if (lstat(d->pg, &st) != 0 && errno == ENOENT)
        return true;
    snprintf(path, sizeof path, "%s/PG_VERSION", d->pg);
    buf_init(&text, 100);
    struct str line = {0}, rest;
    if (file_now_read(path, 100, &text, e))
        str_cut(buf_view(&text), '\n', &line, &rest);
    if (!str_to_i64(line, &n) || n < 1 || n > 1000)
        return err_set(
            e, 500, "data_folder",
            "%.100s is not PostgreSQL's data folder: move it away or give another --data", d->pg);
    *major = (int)n;
    return true;
}

/* ---- making ---- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

/* What a first start that was cut short left; its initdb may still be running. */
static bool clear_leftover(const struct cluster_dir *d, struct err *e)
{
    if (!cluster_proc_end_all(d->making, LEFTOVER_MS, e))
        return false;
    unlink(d->password);
    if (nftw(d->making, remove_one, WALK_FDS, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
        return io_failed("remove", d->making, errno, e);
    return true;
}

static bool initdb_failed(struct str said, int exit_code, struct err *e)
{
    if (cluster_log_is_full_disk(said))
        err_set(e, 507, "disk_full", "the database could not be made: the disk is full");
    else
        err_set(e, 500, "initdb_failed", "the database could not be made: %.*s",
                STR_ARG(cluster_log_reason(said)));
    size_t keep = sizeof e->detail - 40; /* its end says more than its beginning */
    return err_detail(e, "initdb ended with %d: %.*s", exit_code,
                      STR_ARG(str_from_at(said, said.n > keep ? said.n - keep : 0)));
}

static bool run_initdb(const struct cluster_dir *d, const struct cluster_bin *bin, struct err *e)
{
    char pwfile[ROOT_MAX + 32];
    snprintf(pwfile, sizeof pwfile, "--pwfile=%s", d->password);
    /* collate C sorts as C.UTF-8 does, by code point, but by memcmp; ctype C.UTF-8 knows letters */
    const char *argv[] = {bin->initdb,
                          "-D",
                          d->making,
                          "-U",
                          "supabase_admin",
                          "--auth-local=scram-sha-256",
                          "--auth-host=scram-sha-256",
                          pwfile,
                          "--data-checksums",
                          "--encoding=UTF8",
                          "--locale=C.UTF-8",
                          "--lc-collate=C",
                          "--no-instructions",
                          "--no-sync",
                          NULL};
    const char *env[] = {"TZ=UTC", "LC_ALL=C.UTF-8", NULL}; /* else it tries every time zone */
    /* its working folder shows whose it is, should it outlive us */
    struct process_spec s = {
        .argv = argv, .env = env, .cwd = d->making, .out_fd = -1, .new_session = true};
    CLEANUP(buf_free) struct buf said;
    int exit_code = 0;
    buf_init(&said, 70000);
    if (!process_run(&s, INITDB_MS, &said, &exit_code, e))
        return false;
    return exit_code == 0 || initdb_failed(buf_view(&said), exit_code, e);
}

static int open_folder(const char *path)
{
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/*
 * One call for the thousand files of a new cluster: 0.05 s where initdb's own fsync of each took 0.1 s
 * alone on the machine and 1-3 s beside others. It waits for the rest of the file system too.
 */
static bool sync_all(const char *path, struct err *e)
{
    CLEANUP(close_fd) int fd = open_folder(path);
    if (fd < 0 || syncfs(fd) != 0)
        return io_failed("sync", path, errno, e);
    return true;
}

static bool sync_folder(const char *path, struct err *e)
{
    CLEANUP(close_fd) int fd = open_folder(path);
    if (fd < 0 || fsync(fd) != 0)
        return io_failed("sync", path, errno, e);
    return true;
}

bool cluster_dir_make(const struct cluster_dir *d, const struct cluster_bin *bin,
                      const char *password, struct err *e)
{
    if (!clear_leftover(d, e) || !write_unsynced(d->password, str_from(password), e))
        return false;
    bool ok =
        file_now_mkdirs(d->making, 0700, e) && run_initdb(d, bin, e) && sync_all(d->making, e);
    unlink(d->password);
    if (!ok) {
        struct err second; /* the first reason counts */
        (void)!clear_leftover(d, &second);
        return false;
    }
    if (rename(d->making, d->pg) != 0)
        return io_failed("rename", d->making, errno, e);
    return sync_folder(d->root, e);
}

/* ---- who runs ---- */

static struct str record_text(int pid, uint64_t start_time, char *out, size_t n)
{
    int len = snprintf(out, n, "%d %" PRIu64 "\n", pid, start_time);
    return str_of(out, (size_t)len);
}

bool cluster_dir_record(const struct cluster_dir *d, int pid, uint64_t start_time, struct err *e)
{
    char text[64];
    return write_unsynced(d->run, record_text(pid, start_time, text, sizeof text), e);
}

bool cluster_dir_is_recorded(const struct cluster_dir *d, int pid)
{
    char text[64];
    uint64_t start_time;
    return process_start_time(pid, &start_time)
           && same_text(d->run, record_text(pid, start_time, text, sizeof text));
}
