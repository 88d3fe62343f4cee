/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rand.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/wait.h>
#include <unistd.h>

static void fills(void **state)
{
    unsigned char a[600] = {0}, b[600] = {0};
    (void)state;
    rand_bytes(a, sizeof(a));
    rand_bytes(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    rand_bytes(a, 0);
    for (size_t n = 1; n < 100; n++) { /* over many refills */
        rand_bytes(a, n + 8);
        rand_bytes(b, n + 8);
        assert_memory_not_equal(a, b, n + 8);
    }
    assert_true(rand_u64() != rand_u64());
}

static void is_uniform(void **state)
{
    int seen[7] = {0};
    (void)state;
    for (int i = 0; i < 70000; i++) {
        uint32_t v = rand_below(7);
        assert_true(v < 7);
        seen[v]++;
    }
    for (int i = 0; i < 7; i++) /* ten standard deviations */
        assert_in_range(seen[i], 10000 - 930, 10000 + 930);
    assert_int_equal(rand_below(1), 0);
    assert_true(rand_below(UINT32_MAX) < UINT32_MAX);
}

static void spells(void **state)
{
    char text[33];
    (void)state;
    rand_text(text, 32, S("ab"));
    assert_int_equal(strlen(text), 32);
    assert_int_equal(strspn(text, "ab"), 32);
    rand_text(text, 0, S("ab"));
    assert_int_equal(text[0], 0);
}

static void differs_after_fork(void **state)
{
    int ends[2];
    uint64_t theirs = 0;
    (void)state;
    rand_u64(); /* the pool is filled, so the child inherits it */
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        uint64_t v = rand_u64();
        _exit(write(ends[1], &v, sizeof(v)) == sizeof(v) ? 0 : 1);
    }
    uint64_t ours = rand_u64();
    assert_int_equal(read(ends[0], &theirs, sizeof(theirs)), sizeof(theirs));
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(ours != theirs);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills),
        cmocka_unit_test(is_uniform),
        cmocka_unit_test(spells),
        cmocka_unit_test(differs_after_fork),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
