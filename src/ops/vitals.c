/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/vitals.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "ops/metrics.h"
#include "runtime/loop.h"
#include "runtime/process.h"

/* The second number of /proc/self/statm is the resident pages (proc(5)). */
static int64_t resident_bytes(void *ctx)
{
    (void)ctx;
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof(text));
    close(fd);
    struct str rest = str_of(text, n > 0 ? (size_t)n : 0), pages = {0};
    int64_t count = 0;
    str_cut(rest, ' ', &pages, &rest);
    str_cut(rest, ' ', &pages, &rest);
    return str_to_i64(pages, &count) ? count * sysconf(_SC_PAGESIZE) : 0;
}

static int64_t clock_us(clockid_t id)
{
    struct timespec t;
    return clock_gettime(id, &t) == 0 ? t.tv_sec * CLOCK_S + t.tv_nsec / 1000 : 0;
}

static int64_t cpu_us(void *ctx)
{
    (void)ctx;
    return clock_us(CLOCK_PROCESS_CPUTIME_ID);
}

/* Linux 6.2 and later say it as the folder's size; before, its entries are counted. */
static int64_t open_fds(void *ctx)
{
    (void)ctx;
    struct stat st;
    if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
        return st.st_size;
    DIR *folder = opendir("/proc/self/fd");
    int64_t count = -3; /* ".", ".." and the descriptor that reads them */
    if (!folder)
        return 0;
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static int64_t log_losses(void *ctx)
{
    (void)ctx;
    return (int64_t)log_dropped();
}

/* Of all loops so far, as of the last reading of the longest turn, which takes both. */
static _Atomic int64_t slow_turns;

static int64_t turn_max_us(void *ctx)
{
    int64_t longest = 0;
    (void)ctx;
    for (unsigned i = 0; i < loop_count(); i++) {
        struct loop_stats s = loop_stats_take(loop_at(i));
        if (s.longest_turn_us > longest)
            longest = s.longest_turn_us;
        slow_turns += (int64_t)s.slow_turns;
    }
    return longest;
}

static int64_t turns_slow(void *ctx)
{
    (void)ctx;
    return slow_turns;
}

/* Ticks since boot, placed on the wall clock as it is now. */
static int64_t started_us(void)
{
    uint64_t ticks = 0;
    if (!process_start_time(getpid(), &ticks))
        return clock_wall_us();
    int64_t since_boot_us = (int64_t)ticks * (CLOCK_S / sysconf(_SC_CLK_TCK));
    return clock_wall_us() - (clock_us(CLOCK_BOOTTIME) - since_boot_us);
}

void vitals_register(void)
{
    metrics_gauge_fn(METRIC_process_memory, 0, resident_bytes, NULL);
    metrics_gauge_fn(METRIC_process_cpu, 0, cpu_us, NULL);
    metrics_gauge_fn(METRIC_process_fds, 0, open_fds, NULL);
    metrics_gauge_fn(METRIC_log_dropped, 0, log_losses, NULL);
    metrics_gauge_fn(METRIC_loop_turn_max, 0, turn_max_us, NULL);
    metrics_gauge_fn(METRIC_loop_slow_turns, 0, turns_slow, NULL);
    metrics_set(METRIC_process_start, 0, started_us());
    metrics_set(METRIC_build_info, 0, 1);
}
