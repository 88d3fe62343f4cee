/* SPDX-License-Identifier: Apache-2.0 */
#include "app/data_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/file.h"

/* Cuts path at its first part that exists and is no folder. */
static bool cut_at_file(char *path)
{
    for (char *p = path + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char was = *p;
        struct stat st;
        *p = '\0';
        bool there = stat(path, &st) == 0;
        if (there && !S_ISDIR(st.st_mode))
            return true;
        *p = was;
        if (!there || was == '\0')
            return false;
    }
}

/* Cuts path at the first folder that the user may not enter, if there is one. */
static bool cut_at_closed(char *path, const struct process_user *u)
{
    char inside[PATH_MAX + 32];
    for (char *p = path + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        snprintf(inside, sizeof(inside), "%s/.basalt-%d", path, (int)getpid()); /* no such file */
        if (!process_user_can_write(u, inside))
            return true;
        *p = '/';
    }
    return false;
}

/* An open folder of root's with nothing in it: made for us, so that root may hand it over. */
static bool is_given(int fd)
{
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_uid != 0)
        return false;
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    DIR *d = own < 0 ? NULL : fdopendir(own);
    if (!d) {
        if (own >= 0)
            close(own);
        return false;
    }
    unsigned n = 0;
    while (n <= 2 && readdir(d))
        n++;
    closedir(d);
    return n <= 2; /* . and .. */
}

static int open_folder(const char *dir)
{
    return open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool will_be_given(const char *dir)
{
    int fd = geteuid() == 0 ? open_folder(dir) : -1;
    bool yes = is_given(fd);
    if (fd >= 0)
        close(fd);
    return yes;
}

static bool refused(const char *dir, const char *user, struct err *e)
{
    if (geteuid() != 0)
        return err_set(
            e, 1, "data_folder",
            "the data folder %.80s cannot be made or written: choose another with --data", dir);
    return err_set(e, 1, "data_folder",
                   "user %.32s cannot write the data folder %.60s: give it to that user (chown"
                   " -R), or choose another with --data",
                   user, dir);
}

bool data_folder_check(const char *dir, const char *user, const struct process_user *u,
                       struct err *e)
{
    char path[PATH_MAX];
    if (dir[0] != '/' || strlen(dir) >= sizeof(path))
        return err_set(e, 1, "data_folder", "the data folder's name is too long or not absolute");
    memcpy(path, dir, strlen(dir) + 1);
    if (cut_at_file(path))
        return err_set(e, 1, "data_folder",
                       "the data folder cannot be %.60s, since %.60s is no folder: choose another"
                       " with --data",
                       dir, path);
    if (geteuid() == 0 && cut_at_closed(path, u))
        return err_set(e, 1, "data_folder",
                       "user %.32s cannot reach the data folder %.40s: chmod o+x %.40s, or choose"
                       " another with --data",
                       user, dir, path);
    return process_user_can_write(u, dir) || will_be_given(dir) || refused(dir, user, e);
}

/* By descriptor, so that nobody who may write to the parent can put another in its place. */
static bool hand_over(const char *dir, const struct process_user *u, struct err *e)
{
    int fd = geteuid() == 0 ? open_folder(dir) : -1;
    bool ok = !is_given(fd) || (fchmod(fd, 0700) == 0 && fchown(fd, u->uid, u->gid) == 0);
    int code = errno;
    if (fd >= 0)
        close(fd);
    return ok
           || err_set(e, 1, "data_folder", "the data folder %.80s cannot be handed over: %.40s",
                      dir, strerrordesc_np(code));
}

bool data_folder_make(const char *dir, const char *user, const struct process_user *u,
                      struct err *e)
{
    unsigned mode = geteuid() == 0 ? 0755 : 0700; /* root's parents must let the user through */
    if (!data_folder_check(dir, user, u, e))
        return false;
    if (!file_now_mkdirs(dir, mode, e))
        return refused(dir, user, e);
    return hand_over(dir, u, e) && (process_user_can_write(u, dir) || refused(dir, user, e));
}

bool data_folder_lock(const char *dir, int *fd, struct err *e)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/lock", dir);
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0)
        return err_set(e, 1, "data_folder", "the data folder %.80s cannot be written: %.40s", dir,
                       strerrordesc_np(errno));
    if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    return err_set(e, 1, "data_folder_in_use",
                   "another server runs on the data folder %.60s: stop it with `basalt stop`, or"
                   " choose another with --data",
                   dir);
}
