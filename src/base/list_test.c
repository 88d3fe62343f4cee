/* SPDX-License-Identifier: Apache-2.0 */
#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct item {
    int value;
    struct list node;
};

static void keeps_order(void **state)
{
    struct list head;
    struct item items[4] = {{.value = 0}, {.value = 1}, {.value = 2}, {.value = 3}};
    int want = 0;
    (void)state;
    list_init(&head);
    assert_true(list_empty(&head));
    assert_null(list_pop_front(&head));
    assert_false(list_linked(&items[0].node));
    list_push_back(&head, &items[1].node);
    list_push_back(&head, &items[2].node);
    list_push_front(&head, &items[0].node);
    list_push_back(&head, &items[3].node);
    LIST_EACH(it, &head)
    {
        struct item *item = LIST_ENTRY(it, struct item, node);
        assert_int_equal(item->value, want++);
        if (item->value == 1)
            list_remove(it); /* the walk goes on */
    }
    assert_int_equal(want, 4);
    assert_false(list_linked(&items[1].node));
    list_remove(&items[1].node); /* again does nothing */
    assert_ptr_equal(list_pop_front(&head), &items[0].node);
    assert_ptr_equal(list_pop_front(&head), &items[2].node);
    assert_ptr_equal(list_pop_front(&head), &items[3].node);
    assert_true(list_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
