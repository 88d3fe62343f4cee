/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "runtime/fdwatch.h"

enum {
    RUN_OUTPUT_MAX = 64 * 1024,
    RUN_LOOK_MS = 20,  /* how often a child is looked at where the kernel has no pidfd for us */
    STAT_BYTES = 1024, /* /proc/pid/stat: at most 52 numbers and a name of 64 */
    STAT_START_FIELD = 22,
    STATUS_BYTES = 4096, /* its first lines: a name of 64 bytes, a few numbers */
    GROUPS_MAX = 256,    /* more than anyone gives to a service's user */
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static int pidfd_of(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0u); /* close-on-exec by itself */
}

/* ---- starting ---- */

/* The child's variables: the additions, then PATH and LANG unless they are among them. */
struct environment {
    char path[4096];
    const char **list;
};

static void environment_free(struct environment *v)
{
    free(v->list);
}

static bool has_variable(const char *const *env, const char *prefix)
{
    for (; env && *env; env++) {
        if (str_starts(str_from(*env), str_from(prefix)))
            return true;
    }
    return false;
}

static bool environment_make(const char *const *additions, struct environment *v)
{
    size_t n = 0;
    while (additions && additions[n])
        n++;
    v->list = calloc(n + 3, sizeof(*v->list));
    if (!v->list)
        return false;
    for (size_t i = 0; i < n; i++)
        v->list[i] = additions[i];
    const char *path = getenv("PATH");
    snprintf(v->path, sizeof(v->path), "PATH=%s",
             path && *path ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    if (!has_variable(additions, "PATH="))
        v->list[n++] = v->path;
    if (!has_variable(additions, "LANG="))
        v->list[n++] = "LANG=C.UTF-8";
    return true;
}

/* What the child does between fork and exec; 0 or an errno. */
static int actions_fill(posix_spawn_file_actions_t *a, const struct process_spec *s)
{
    int code = posix_spawn_file_actions_addchdir_np(a, s->cwd ? s->cwd : "/");
    for (int fd = 1; fd <= 2 && !code; fd++)
        code = s->out_fd < 0 ? posix_spawn_file_actions_addopen(a, fd, "/dev/null", O_WRONLY, 0)
                             : posix_spawn_file_actions_adddup2(a, s->out_fd, fd);
    if (!code)
        code = posix_spawn_file_actions_addopen(a, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!code) /* also what whoever started us left open */
        code = posix_spawn_file_actions_addclosefrom_np(a, STDERR_FILENO + 1);
    return code;
}

/* Our ignored SIGPIPE and blocked signals are not for children. */
static int attributes_fill(posix_spawnattr_t *a, const struct process_spec *s)
{
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    int flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    int code = posix_spawnattr_setsigdefault(a, &all);
    if (!code)
        code = posix_spawnattr_setsigmask(a, &none);
    if (!code)
        code = posix_spawnattr_setflags(
            a, (short)(s->new_session ? flags | POSIX_SPAWN_SETSID : flags));
    return code;
}

static int spawn(const struct process_spec *s, const char *const *env, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    int code = actions_fill(&actions, s);
    if (!code)
        code = attributes_fill(&attributes, s);
    if (!code) /* POSIX promises that neither list is written to */
        code = posix_spawn(pid, s->argv[0], &actions, &attributes,
                           (char *const *)(uintptr_t)s->argv, (char *const *)(uintptr_t)env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return code;
}

bool process_spawn(const struct process_spec *s, pid_t *pid, struct err *e)
{
    CLEANUP(environment_free) struct environment v = {.list = NULL};
    pid_t made = 0;
    int code = environment_make(s->env, &v) ? spawn(s, v.list, &made) : ENOMEM;
    if (code)
        return err_set(e, 500, "process_spawn", "cannot start %.100s: %s", s->argv[0],
                       strerrordesc_np(code));
    *pid = made;
    return true;
}

/* ---- waiting ---- */

static int exit_code_of(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Our child has ended: reaped. A process that is not our child never is. */
static bool reaped(pid_t pid, int *exit_code)
{
    int status = 0;
    if (waitpid(pid, &status, WNOHANG) != pid)
        return false;
    *exit_code = exit_code_of(status);
    return true;
}

void process_reap_orphans(void)
{
    while (getpid() == 1 && waitpid(-1, &(int){0}, WNOHANG) > 0)
        ;
}

static int ms_until(int64_t mono_us)
{
    int64_t left = mono_us - clock_mono_us();
    return left <= 0 ? 0 : (int)((left + 999) / 1000);
}

bool process_wait(pid_t pid, int timeout_ms, int *exit_code)
{
    int64_t end = clock_mono_us() + timeout_ms * CLOCK_MS;
    CLEANUP(close_fd) int pidfd = pidfd_of(pid);
    for (;;) {
        *exit_code = -1;
        if (reaped(pid, exit_code) || !process_alive(pid, 0))
            return true;
        int left = ms_until(end);
        if (left == 0)
            return false;
        struct pollfd p = {.fd = pidfd, .events = POLLIN};
        poll(&p, 1, pidfd < 0 && left > RUN_LOOK_MS ? RUN_LOOK_MS : left);
    }
}

/* What there is to read now; the first RUN_OUTPUT_MAX of it are kept. False at the end of it. */
static bool output_take(int fd, size_t *kept, struct buf *out)
{
    char piece[4096];
    ssize_t n;
    while ((n = read(fd, piece, sizeof(piece))) > 0) {
        size_t room = RUN_OUTPUT_MAX - *kept, take = (size_t)n < room ? (size_t)n : room;
        if (out)
            buf_add(out, piece, take);
        *kept += take;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/*
 * Until the child has ended, not until its output has: what it left running may hold the pipe
 * open. False when it was late and had to be killed.
 */
static bool run_to_end(pid_t pid, bool group, int pipe_fd, int timeout_ms, struct buf *out,
                       int *exit_code)
{
    int64_t end = clock_mono_us() + timeout_ms * CLOCK_MS;
    CLEANUP(close_fd) int pidfd = pidfd_of(pid);
    struct pollfd p[2] = {{.fd = pipe_fd, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};
    size_t kept = 0;
    for (;;) {
        bool over = reaped(pid, exit_code);
        if (p[0].fd >= 0 && !output_take(pipe_fd, &kept, out))
            p[0].fd = -1;
        if (over)
            return true;
        int left = ms_until(end);
        if (left == 0) {
            kill(group ? -pid : pid, SIGKILL);
            waitpid(pid, &(int){0}, 0);
            return false;
        }
        poll(p, 2, pidfd < 0 && left > RUN_LOOK_MS ? RUN_LOOK_MS : left);
    }
}

bool process_run(const struct process_spec *s, int timeout_ms, struct buf *out, int *exit_code,
                 struct err *e)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_set(e, 500, "process_spawn", "cannot start %.100s: %s", s->argv[0],
                       strerrordesc_np(errno));
    CLEANUP(close_fd) int pipe_fd = ends[0];
    fcntl(pipe_fd, F_SETFL, O_NONBLOCK);
    struct process_spec child = *s;
    child.out_fd = ends[1];
    pid_t pid = 0;
    bool started = process_spawn(&child, &pid, e);
    close(ends[1]);
    if (!started)
        return false;
    int code = 0;
    if (!run_to_end(pid, s->new_session, pipe_fd, timeout_ms, out, &code))
        return err_set(e, 504, "process_timeout", "%.100s did not end within %d s and was stopped",
                       s->argv[0], (timeout_ms + 999) / 1000);
    *exit_code = code;
    return true;
}

/* ---- other processes ---- */

static bool read_proc(pid_t pid, const char *name, char *out, size_t n)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, out, n - 1);
    out[got > 0 ? got : 0] = '\0';
    return got > 0;
}

/*
 * "pid (name) state ppid …" (proc(5)): the name is the process's own choice and may hold spaces and
 * brackets, so the fields are counted from the last ')'.
 */
static bool parse_stat(struct str text, uint64_t *start)
{
    const char *bracket = text.n ? memrchr(text.p, ')', text.n) : NULL;
    if (!bracket)
        return false;
    struct str rest = str_from_at(text, (size_t)(bracket - text.p) + 2), field = {0};
    str_cut(rest, ' ', &field, &rest);
    if (field.n != 1
        || strchr("ZXx", field.p[0])) /* a zombie is dead: it only waits to be reaped */
        return false;
    for (int i = 3; i < STAT_START_FIELD; i++)
        str_cut(rest, ' ', &field, &rest);
    return str_to_u64(field, start);
}

bool process_start_time(pid_t pid, uint64_t *out)
{
    char text[STAT_BYTES];
    return pid > 0 && read_proc(pid, "stat", text, sizeof(text)) && parse_stat(str_from(text), out);
}

/* "Uid:", then real, effective, saved and file system user (proc(5)). */
static bool parse_owner(struct str text, uid_t *out)
{
    struct str field;
    size_t at;
    uint64_t uid = 0;
    if (!str_find(text, S("\nUid:\t"), &at))
        return false;
    struct str rest = str_from_at(text, at + sizeof("\nUid:\t") - 1);
    str_cut(rest, '\t', &field, &rest);
    str_cut(rest, '\t', &field, &rest);
    if (!str_to_u64(field, &uid))
        return false;
    *out = (uid_t)uid;
    return true;
}

bool process_owner(pid_t pid, uid_t *out)
{
    char text[STATUS_BYTES];
    return pid > 0 && read_proc(pid, "status", text, sizeof(text))
           && parse_owner(str_from(text), out);
}

bool process_alive(pid_t pid, uint64_t start_time)
{
    uint64_t now = 0;
    return process_start_time(pid, &now) && (start_time == 0 || now == start_time);
}

bool process_exe(pid_t pid, char *out, size_t n)
{
    char link[64], path[4096];
    uint64_t start = 0;
    snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
    if (!process_start_time(pid, &start))
        return false;
    ssize_t got = readlink(link, path, sizeof(path) - 1);
    if (got <= 0)
        return false;
    struct str name = str_of(path, (size_t)got);
    if (str_ends(name,
                 S(" (deleted)"))) /* replaced by an upgrade: still what it was started from */
        name.n -= sizeof(" (deleted)") - 1;
    if (name.n >= n)
        return false;
    memcpy(out, name.p, name.n);
    out[name.n] = '\0';
    return true;
}

struct process_watch {
    int pidfd;
    struct fdwatch *ready; /* NULL once it has fired */
    void (*fn)(void *ctx);
    void *ctx;
};

static void watch_stop(struct process_watch *w)
{
    if (w->ready)
        fdwatch_close(w->ready);
    close_fd(&w->pidfd);
    w->ready = NULL;
    w->pidfd = -1;
}

static void on_ended(void *ctx, int events)
{
    struct process_watch *w = ctx;
    (void)events;
    watch_stop(w);
    w->fn(w->ctx); /* last: it may close w */
}

bool process_watch_open(pid_t pid, void (*fn)(void *ctx), void *ctx, struct process_watch **out,
                        struct err *e)
{
    int pidfd = pidfd_of(pid);
    if (pidfd < 0 && errno == ESRCH)
        return err_set(e, 404, "process_gone", "there is no process %d", (int)pid);
    if (pidfd < 0)
        return err_set(e, 500, "process_watch", "cannot watch process %d: %s", (int)pid,
                       strerrordesc_np(errno));
    struct process_watch *w = calloc(1, sizeof(*w));
    BUG(!w);
    *w = (struct process_watch){.pidfd = pidfd, .fn = fn, .ctx = ctx};
    w->ready = fdwatch_open(pidfd, on_ended, w);
    fdwatch_set(w->ready, FDWATCH_READ);
    *out = w;
    return true;
}

void process_watch_close(struct process_watch *w)
{
    if (!w)
        return;
    watch_stop(w);
    free(w);
}

/* ---- descriptors ---- */

unsigned process_files_raise(unsigned wanted)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) != 0)
        return 0;
    rlim_t hard = l.rlim_max > wanted ? l.rlim_max : wanted;
    if (l.rlim_cur < wanted && setrlimit(RLIMIT_NOFILE, &(struct rlimit){wanted, hard}) != 0)
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){l.rlim_max, l.rlim_max});
    getrlimit(RLIMIT_NOFILE, &l);
    return l.rlim_cur < UINT_MAX ? (unsigned)l.rlim_cur : UINT_MAX;
}

void process_begin(void)
{
    int fd;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGCHLD, SIG_DFL);
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* ---- giving up rights ---- */

/* Every group of the user's, by name service: before a fork, since it allocates and reads files. */
static bool groups_of(const struct process_user *u, gid_t *groups, int *n)
{
    struct passwd entry, *found = NULL;
    char text[4096];
    *n = GROUPS_MAX;
    if (getpwuid_r(u->uid, &entry, text, sizeof(text), &found) != 0)
        return false;
    if (found)
        return getgrouplist(entry.pw_name, u->gid, groups, n) >= 0;
    groups[0] = u->gid; /* a number without a name, as containers have */
    *n = 1;
    return true;
}

static bool drop(const struct process_user *u, const gid_t *groups, int n)
{
    return setgroups((size_t)n, groups) == 0 && setresgid(u->gid, u->gid, u->gid) == 0
           && setresuid(u->uid, u->uid, u->uid) == 0;
}

static bool dropped_for_good(const struct process_user *u)
{
    uid_t r, f, s;
    gid_t rg, fg, sg;
    if (getresuid(&r, &f, &s) != 0 || getresgid(&rg, &fg, &sg) != 0)
        return false;
    return r == u->uid && f == u->uid && s == u->uid && rg == u->gid && fg == u->gid && sg == u->gid
           && setuid(0) != 0 && (u->gid == 0 || setgid(0) != 0);
}

bool process_seal(struct err *e)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return err_set(e, 500, "process_seal", "cannot close the process to others: %s",
                       strerrordesc_np(errno));
    return true;
}

/* Libraries look into $HOME: libpq refuses TLS when it may not see whether a certificate is there. */
static void take_home(const struct process_user *u)
{
    struct passwd entry, *found = NULL;
    char text[4096];
    bool known = getpwuid_r(u->uid, &entry, text, sizeof(text), &found) == 0 && found;
    setenv("HOME", known && entry.pw_dir[0] ? entry.pw_dir : "/nonexistent", 1);
}

bool process_become(const struct process_user *u, struct err *e)
{
    gid_t groups[GROUPS_MAX];
    int n = 0;
    bool was_root = geteuid() == 0;
    if (u->uid == 0)
        return err_set(e, 500, "user_invalid", "the unprivileged user is root");
    if (was_root && (!groups_of(u, groups, &n) || !drop(u, groups, n)))
        return err_set(e, 500, "user_failed", "cannot become user %u: %s", (unsigned)u->uid,
                       strerrordesc_np(errno));
    if (!dropped_for_good(u))
        return err_set(e, 500, "user_failed", "user %u was not taken on whole", (unsigned)u->uid);
    if (was_root)
        take_home(u);
    return process_seal(e);
}

/* ---- what the user may ---- */

static bool may(const char *path, int mode)
{
    return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0;
}

/* Cuts the last component off; "." when nothing is left, "/" stays. False at the top. */
static bool to_parent(char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    if ((n == 1 && (path[0] == '/' || path[0] == '.')) || n == 0)
        return false;
    while (n > 0 && path[n - 1] != '/')
        n--;
    while (n > 1 && path[n - 1] == '/')
        n--;
    if (n == 0)
        path[n++] = '.';
    path[n] = '\0';
    return true;
}

/* Only system calls: it also runs in the child of a fork. */
static bool path_usable(char *path, bool root_makes_it)
{
    struct stat st;
    if (stat(path, &st) == 0)
        return may(path, S_ISDIR(st.st_mode) ? W_OK | X_OK : W_OK);
    while (errno == ENOENT && to_parent(path)) {
        if (stat(path, &st) == 0)
            return S_ISDIR(st.st_mode) && may(path, root_makes_it ? X_OK : W_OK | X_OK);
    }
    return false;
}

/* As path_usable, as that user; false also when no child could be made. */
static bool usable_in_child(const struct process_user *u, char *path)
{
    gid_t groups[GROUPS_MAX];
    int n = 0, status = 0;
    if (!groups_of(u, groups, &n))
        return false;
    pid_t child = fork();
    if (child == 0)
        _exit(drop(u, groups, n) && path_usable(path, true) ? 0 : 1);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool process_user_can_write(const struct process_user *u, const char *path)
{
    char copy[4096];
    int n = snprintf(copy, sizeof(copy), "%s", path);
    if (n <= 0 || (size_t)n >= sizeof(copy))
        return false;
    return geteuid() == 0 ? usable_in_child(u, copy) : path_usable(copy, false);
}

/* ---- making the user ---- */

/* What useradd accepts (shadow's NAME_REGEX), and nothing that could be an option. */
static bool name_valid(const char *name)
{
    size_t n = strlen(name);
    bool first = n > 0 && (name[0] == '_' || (name[0] >= 'a' && name[0] <= 'z'));
    return first && n <= 32 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

static bool user_find(const char *name, struct process_user *out)
{
    struct passwd entry, *found = NULL;
    char text[4096];
    if (getpwnam_r(name, &entry, text, sizeof(text), &found) != 0 || !found)
        return false;
    *out = (struct process_user){entry.pw_uid, entry.pw_gid};
    return true;
}

static bool group_exists(const char *name)
{
    struct group entry, *found = NULL;
    char text[16384];
    return getgrnam_r(name, &entry, text, sizeof(text), &found) == 0 && found;
}

static bool user_make(const char *name, struct err *e)
{
    char group[64] = "--user-group";
    if (group_exists(name)) /* useradd would refuse to make it again */
        snprintf(group, sizeof(group), "--gid=%s", name);
    const char *argv[] = {"/usr/sbin/useradd",
                          "--system",
                          "--no-create-home",
                          "--home-dir=/nonexistent",
                          "--shell=/usr/sbin/nologin",
                          "--comment=Basalt server",
                          group,
                          name,
                          NULL};
    struct process_spec s = {.argv = argv, .out_fd = -1};
    CLEANUP(buf_free) struct buf out = {0};
    int exit_code = 0;
    buf_init(&out, RUN_OUTPUT_MAX);
    if (!process_run(&s, 30000, &out, &exit_code, e))
        return false;
    struct str said = str_trim(buf_view(&out));
    if (exit_code != 0 && exit_code != 9) /* 9: made by someone else just now */
        return err_set(e, 500, "user_failed", "cannot make the user %s: %.*s", name, STR_ARG(said));
    return true;
}

bool process_user_ensure(const char *name, struct process_user *out, struct err *e)
{
    struct process_user u = {0};
    if (!name_valid(name))
        return err_set(e, 500, "user_invalid", "\"%.40s\" is not a user name", name);
    if (!user_find(name, &u)) {
        if (geteuid() != 0)
            return err_set(e, 500, "user_missing",
                           "the user %s does not exist, and only root can make it", name);
        if (!user_make(name, e))
            return false;
        if (!user_find(name, &u))
            return err_set(e, 500, "user_failed", "the user %s was made and is not found", name);
    }
    if (u.uid == 0)
        return err_set(e, 500, "user_invalid", "the user %s is root; give an unprivileged one",
                       name);
    *out = u;
    return true;
}
