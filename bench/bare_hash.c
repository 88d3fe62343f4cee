/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bare_hash [N]: verifies a right password N times with the server's own parameters, one after the
 * other: what a login costs at least. One JSON object on stdout.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "crypto/password.h"
#include "histogram.h"

static int64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * CLOCK_S + t.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
    static struct histogram h;
    long n = argc > 1 ? strtol(argv[1], NULL, 10) : 100;
    char stored[PASSWORD_HASH_MAX];
    struct str password = S("correct horse battery staple");
    struct err e = {0};
    if (!password_hash(password, &password_default, stored, &e))
        errx(1, "%s", e.message);
    int64_t cpu = cpu_us();
    for (long i = 0; i < n; i++) {
        bool ok = false, stale;
        int64_t from = clock_mono_us();
        if (!password_verify(password, str_from(stored), &password_default, &ok, &stale, &e) || !ok)
            errx(1, "the hash is wrong: %s", e.message);
        histogram_record(&h, clock_mono_us() - from);
    }
    printf("{\"count\":%ld,\"cpu_ms_each\":%.3f,\"ms\":", n,
           n ? (double)(cpu_us() - cpu) / 1000 / (double)n : 0);
    histogram_put_json(&h, stdout);
    printf("}\n");
    return 0;
}
