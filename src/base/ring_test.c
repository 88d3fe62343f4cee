/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ring.c"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static _Alignas(RING_PAGE) unsigned char memory[2 * RING_PAGE];
static struct ring ring = RING_INIT(memory);

static bool never(void)
{
    return false;
}

/* What comes next, taken; "" for nothing. */
static struct str next(char out[RING_PAGE])
{
    uint64_t pos = ring_begin(&ring);
    struct str piece[2];
    if (!ring_next(&ring, &pos, piece))
        return S("");
    memcpy(out, piece[0].p, piece[0].n);
    memcpy(out + piece[0].n, piece[1].p, piece[1].n);
    size_t n = piece[0].n + piece[1].n;
    ring_take(&ring, pos);
    return str_of(out, n);
}

static void keeps_order_around_its_end(void **state)
{
    char text[1000], got[RING_PAGE];
    (void)state;
    for (size_t i = 1; i < 3000; i++) {
        size_t n = 1 + i * 37 % sizeof(text);
        memset(text, (int)('a' + i % 26), n);
        assert_true(ring_push(&ring, text, n));
        assert_true(str_eq(next(got), str_of(text, n)));
    }
    assert_true(ring_empty(&ring));
}

static void refuses_what_has_no_room(void **state)
{
    char text[1000] = {0}, got[RING_PAGE];
    unsigned n = 0;
    (void)state;
    while (ring_push(&ring, text, sizeof(text)))
        n++;
    assert_int_equal(n, sizeof(memory) / (sizeof(text) + HEADER));
    assert_int_equal(next(got).n, sizeof(text));
    assert_true(ring_push(&ring, text, sizeof(text)));
    while (next(got).n > 0)
        ;
    assert_true(ring_empty(&ring));
}

static void *push_late(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++)
        while (!ring_push(&ring, "hello", 5))
            sched_yield();
    return NULL;
}

static void wakes_its_reader(void **state)
{
    pthread_t thread;
    char got[RING_PAGE];
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, push_late, NULL), 0);
    for (int n = 0; n < 1000;) {
        struct str s = next(got);
        if (s.n == 0) {
            ring_release(&ring);
            ring_sleep(&ring, never);
            continue;
        }
        assert_true(str_is(s, "hello"));
        n++;
    }
    pthread_join(thread, NULL);
}

int main(void)
{
    ring_open(&ring);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_order_around_its_end),
        cmocka_unit_test(refuses_what_has_no_room),
        cmocka_unit_test(wakes_its_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
