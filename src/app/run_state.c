/* SPDX-License-Identifier: Apache-2.0 */
#include "app/run_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/file.h"
#include "runtime/process.h"

enum { FILE_MAX = 16 * 1024, PATH_LENGTH = 4096 };

static bool path_of(const char *dir, char out[PATH_LENGTH], struct err *e)
{
    int n = snprintf(out, PATH_LENGTH, "%s/server.env", dir);
    return (n > 0 && n < PATH_LENGTH)
           || err_set(e, 1, "path_too_long", "the data folder's path is too long");
}

bool run_state_write(const char *dir, const struct run_state *r, struct err *e)
{
    char path[PATH_LENGTH];
    uint64_t started = 0;
    if (!path_of(dir, path, e))
        return false;
    process_start_time(r->pid, &started);
    struct buf b;
    buf_init(&b, FILE_MAX);
    buf_printf(&b, "PID=%d\nSTARTED=%" PRIu64 "\nAPI_URL=%s\nADMIN_URL=%s\nDB_URL=%s\n",
               (int)r->pid, started, r->api_url, r->admin_url ? r->admin_url : "", r->db_url);
    bool ok = file_now_write(path, buf_view(&b), 0600, e);
    buf_free(&b);
    return ok;
}

static struct str value_of(struct str file, const char *name)
{
    struct str line, key, value;
    for (bool more = true; more;) {
        more = str_cut(file, '\n', &line, &file);
        if (str_cut(line, '=', &key, &value) && str_is(key, name))
            return value;
    }
    return (struct str){0};
}

/*
 * The process that the file names, if it is the one that wrote it: whoever may write to the folder
 * must not make root's `basalt stop` end a process of another user.
 */
static bool alive(struct str file, uid_t writer, pid_t *out)
{
    int64_t pid;
    uid_t owner;
    uint64_t recorded, now;
    if (!str_to_i64(value_of(file, "PID"), &pid)
        || !str_to_u64(value_of(file, "STARTED"), &recorded))
        return false;
    *out = (pid_t)pid;
    return process_start_time((pid_t)pid, &now) && now == recorded
           && process_owner((pid_t)pid, &owner) && owner == writer;
}

bool run_state_read(const char *dir, struct arena *a, struct run_state *out, struct err *e)
{
    char path[PATH_LENGTH];
    struct buf file;
    buf_init(&file, FILE_MAX);
    if (!path_of(dir, path, e))
        return false;
    bool found = file_now_read(path, FILE_MAX, &file, e);
    struct run_state r = {0};
    if (!found && e->status != 404)
        return false;
    struct stat st;
    if (!found || lstat(path, &st) != 0 || !alive(buf_view(&file), st.st_uid, &r.pid)) {
        buf_free(&file);
        return err_set(e, 3, "not_running",
                       "no server is running on %.100s: start one with `basalt serve`", dir);
    }
    r.api_url = arena_cstr(a, value_of(buf_view(&file), "API_URL"));
    r.admin_url = arena_cstr(a, value_of(buf_view(&file), "ADMIN_URL"));
    r.db_url = arena_cstr(a, value_of(buf_view(&file), "DB_URL"));
    buf_free(&file);
    *out = r;
    return true;
}

void run_state_remove(const char *dir)
{
    char path[PATH_LENGTH];
    struct err ignored;
    if (path_of(dir, path, &ignored))
        unlink(path);
}
