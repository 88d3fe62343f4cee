/* SPDX-License-Identifier: Apache-2.0 */
#include "pg/cluster_bin.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/process.h"

enum { ASK_MS = 10000, PATHS_MAX = 64 };

#define DEBIAN_FOLDERS "/usr/lib/postgresql/*/bin"

/* Both programs are there and may be run. */
static bool has_programs(const char *folder, struct arena *a, struct cluster_bin *out)
{
    struct cluster_bin b = {
        .folder = folder,
        .initdb = arena_printf(a, "%s/initdb", folder).p,
        .postgres = arena_printf(a, "%s/postgres", folder).p,
    };
    if (access(b.initdb, X_OK) != 0 || access(b.postgres, X_OK) != 0)
        return false;
    *out = b;
    return true;
}

/* First line of what a program says, in the arena; absent when it failed. */
static struct str ask(const char *program, const char *option, struct arena *a)
{
    const char *argv[] = {program, option, NULL};
    struct process_spec s = {.argv = argv, .out_fd = -1};
    CLEANUP(buf_free) struct buf said;
    struct err e;
    int exit_code = 0;
    buf_init(&said, 70000);
    if (!process_run(&s, ASK_MS, &said, &exit_code, &e) || exit_code != 0)
        return (struct str){0};
    struct str line, rest;
    str_cut(buf_view(&said), '\n', &line, &rest);
    return arena_str(a, str_trim(line));
}

/* "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "… 18beta1": the number behind ") ". */
static int version_said(struct str line)
{
    size_t at;
    return str_find(line, S(") "), &at) ? (int)strtol(line.p + at + 2, NULL, 10) : 0;
}

static int version_of(const struct cluster_bin *b, struct arena *a)
{
    int n = 0;
    if (sscanf(b->folder, "/usr/lib/postgresql/%d/bin", &n) == 1) /* saves starting a program */
        return n;
    return version_said(ask(b->postgres, "--version", a));
}

/* Takes the folder when it fits better than what there is. */
static void consider(const char *folder, int wanted, struct arena *a, struct cluster_bin *best)
{
    struct cluster_bin b;
    if (!has_programs(folder, a, &b))
        return;
    b.major = version_of(&b, a);
    bool fits = wanted ? b.major == wanted : b.major >= CLUSTER_BIN_OLDEST;
    bool best_fits = wanted ? best->major == wanted : best->major >= CLUSTER_BIN_OLDEST;
    if ((fits && !best_fits) || (fits == best_fits && b.major > best->major))
        *best = b;
}

static void consider_debian(int wanted, struct arena *a, struct cluster_bin *best)
{
    glob_t g;
    if (glob(DEBIAN_FOLDERS, 0, NULL, &g) != 0)
        return;
    for (size_t i = 0; i < g.gl_pathc; i++)
        consider(arena_str(a, str_from(g.gl_pathv[i])).p, wanted, a, best);
    globfree(&g);
}

static void consider_path(int wanted, struct arena *a, struct cluster_bin *best)
{
    struct str folder, rest = str_from(getenv("PATH"));
    int n = 0;
    for (bool more = rest.p != NULL; more && n < PATHS_MAX; n++) {
        more = str_cut(rest, ':', &folder, &rest);
        if (folder.n == 0 || folder.p[0] != '/') /* never a program of the working folder */
            continue;
        const char *pg_config = arena_printf(a, "%.*s/pg_config", STR_ARG(folder)).p;
        if (access(pg_config, X_OK) == 0)
            consider(arena_str(a, ask(pg_config, "--bindir", a)).p, wanted, a, best);
        consider(arena_str(a, folder).p, wanted, a, best);
    }
}

static bool missing(int wanted, const struct cluster_bin *best, struct err *e)
{
    if (wanted && best->major)
        return err_set(e, 500, "postgres_version",
                       "the data folder was made by PostgreSQL %d, here is only %d: install"
                       " postgresql-%d, or choose another folder with --data",
                       wanted, best->major, wanted);
    if (wanted)
        return err_set(e, 500, "postgres_missing",
                       "PostgreSQL %d is not installed: apt-get install postgresql-%d", wanted,
                       wanted);
    return err_set(e, 500, "postgres_missing",
                   "PostgreSQL %d or newer is not installed: apt-get install postgresql (or set"
                   " pg_bin, the folder of initdb)",
                   CLUSTER_BIN_OLDEST);
}

bool cluster_bin_find(const char *setting, int major, struct arena *a, struct cluster_bin *out,
                      struct err *e)
{
    struct cluster_bin best = {0};
    if (setting) {
        consider(arena_str(a, str_from(setting)).p, major, a, &best);
        if (!best.major)
            return err_set(e, 500, "postgres_missing",
                           "there are no initdb and postgres in %.60s (setting pg_bin)", setting);
    } else {
        consider_debian(major, a, &best);
    }
    bool found = major ? best.major == major : best.major >= CLUSTER_BIN_OLDEST;
    if (!found && !setting) {
        consider_path(major, a, &best);
        found = major ? best.major == major : best.major >= CLUSTER_BIN_OLDEST;
    }
    if (!found)
        return missing(major, &best, e);
    *out = best;
    return true;
}
