/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void published_vectors(void **state)
{
    /* The authors' own, vectors.h: key 00..0f, messages 00, 00 01, … */
    static const uint64_t want[] = {0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a,
                                    0x85676696d7fb7e2d, 0xcf2794e0277187b7, 0x18765564cd99a68d,
                                    0xcbc9466e58fee3ce, 0xab0200f58b01d137, 0x93f5f5799a932462};
    char message[9];
    (void)state;
    for (size_t n = 0; n < 9; n++) {
        message[n] = (char)n;
        assert_true(siphash(str_of(message, n), 0x0706050403020100, 0x0f0e0d0c0b0a0908) == want[n]);
    }
}

enum { MANY = 5000 };

struct entry {
    char name[12];
    bool in, seen;
};

static struct entry entries[MANY];

static struct str name_of(struct entry *x)
{
    return str_from(x->name);
}

static void agrees_with_a_plain_array(void **state)
{
    struct map m;
    size_t live = 0;
    (void)state;
    map_init(&m);
    assert_null(map_get(&m, S("x")));
    assert_null(map_remove(&m, S("x")));
    for (int i = 0; i < MANY; i++)
        snprintf(entries[i].name, sizeof(entries[i].name), "k%d", i);
    for (int step = 0; step < 200000; step++) {
        struct entry *x = &entries[rand_below(step % 20000 < 10000 ? MANY : 50)];
        if (rand_below(2)) {
            assert_ptr_equal(map_put(&m, name_of(x), x), x->in ? x : NULL);
            live += !x->in;
            x->in = true;
        } else {
            assert_ptr_equal(map_remove(&m, name_of(x)), x->in ? x : NULL);
            live -= x->in;
            x->in = false;
        }
        assert_int_equal(m.live, live);
    }
    for (int i = 0; i < MANY; i++)
        assert_ptr_equal(map_get(&m, name_of(&entries[i])), entries[i].in ? &entries[i] : NULL);
    map_close(&m);
    assert_null(map_get(&m, S("k1")));
}

/* Removes one in `each` while walking: everything is given exactly once, and the rest is left. */
static void walk_removing(int count, uint32_t each)
{
    struct map m;
    size_t cursor = 0, given = 0, removed = 0;
    map_init(&m);
    for (int i = 0; i < count; i++) {
        entries[i].seen = entries[i].in = false;
        map_put(&m, name_of(&entries[i]), &entries[i]);
    }
    for (struct entry *x; (x = map_next(&m, &cursor));) {
        assert_false(x->seen);
        x->seen = true;
        given++;
        if (each && rand_below(each) == 0) {
            assert_ptr_equal(map_remove(&m, name_of(x)), x);
            x->in = true; /* here: gone */
            removed++;
        }
    }
    assert_null(map_next(&m, &cursor));
    assert_int_equal(given, count);
    assert_int_equal(m.live, (size_t)count - removed);
    for (int i = 0; i < count; i++)
        assert_int_equal(map_get(&m, name_of(&entries[i])) == NULL, entries[i].in);
    map_close(&m);
}

static void walks_while_removing(void **state)
{
    (void)state;
    for (int i = 0; i < MANY; i++)
        snprintf(entries[i].name, sizeof(entries[i].name), "k%d", i);
    for (int count = 0; count < 200; count++)
        for (uint32_t each = 0; each < 4; each++)
            walk_removing(count, each);
    walk_removing(MANY, 0);
    walk_removing(MANY, 1);
    walk_removing(MANY, 2);
}

static void replaces(void **state)
{
    struct map m;
    int one, two;
    (void)state;
    map_init(&m);
    assert_null(map_put(&m, S("a\0b"), &one));
    assert_ptr_equal(map_put(&m, S("a\0b"), &two), &one);
    assert_null(map_get(&m, S("a")));
    assert_ptr_equal(map_get(&m, S("a\0b")), &two);
    assert_null(map_put(&m, S(""), &one));
    assert_ptr_equal(map_get(&m, S("")), &one);
    assert_int_equal(m.live, 2);
    map_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),
        cmocka_unit_test(agrees_with_a_plain_array),
        cmocka_unit_test(walks_while_removing),
        cmocka_unit_test(replaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
