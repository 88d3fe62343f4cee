/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_cost DIR [N]: what audit_report takes of the request path, with journal and log at work:
 * bursts of 20 events, as busy loops make them. DIR: an empty folder. One JSON object on stdout.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "audit/audit.h"
#include "audit/journal.h"
#include "base/clock.h"
#include "base/log.h"
#include "histogram.h"

enum { BURST = 20, PAUSE_US = 2000 };

static int64_t thread_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int main(int argc, char **argv)
{
    static struct histogram h;
    long n = argc > 2 ? strtol(argv[2], NULL, 10) : 100000;
    struct req req = {
        .id = "0198c5f2-9a77-7d33-8f0e-aa55aa55aa55",
        .client_ip = S("203.0.113.77"),
        .user_agent =
            S("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131"),
    };
    struct audit_note note = {
        .event = AUDIT_LOGIN_FAILED,
        .subject_id = S("5a2c7f3e-0a11-4f7e-9d1c-4b8f8e0f5f11"),
        .detail = S("{\"reason\":\"wrong_password\",\"email_hash\":\"0123456789abcdef\"}"),
    };
    struct journal_config c = {
        .dir = argc > 1 ? argv[1] : "", .file_bytes = 16 << 20, .max_bytes = 1 << 30};
    struct err e = {0};
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    log_open(null, LOG_INFO, LOG_JSON);
    if (!journal_open(&c, &e))
        errx(1, "%s", e.message);
    int64_t cpu = 0, wall = 0;
    for (long i = 0; i < n; i += BURST) {
        int64_t from = thread_ns();
        for (int k = 0; k < BURST; k++) {
            int64_t at = clock_mono_us();
            audit_report(&req, &note);
            int64_t took = clock_mono_us() - at;
            histogram_record(&h, took);
            wall += took;
        }
        cpu += thread_ns() - from;
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_US * 1000L}, NULL);
    }
    journal_close(5000);
    log_close(5000);
    printf("{\"count\":%ld,\"cpu_us_each\":%.3f,\"wall_us_each\":%.3f,\"dropped\":%llu,\"ms\":", n,
           (double)cpu / 1000 / (double)n, (double)wall / (double)n,
           (unsigned long long)journal_dropped());
    histogram_put_json(&h, stdout);
    printf("}\n");
    return 0;
}
