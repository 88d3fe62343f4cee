/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a template, and as what it shows, stay within bounds. */
#include "auth/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"A", "Data", NULL};
    struct str text = str_of((const char *)data, size);
    struct arena a = {.budget_bytes = 1 << 22};
    struct buf b = {.arena = &a, .max_bytes = 1 << 20};
    struct template *t;
    struct err e;
    for (int html = 0; html < 2; html++)
        if (template_parse(text, html, names, &a, &t, &e))
            template_render(t, S("{\"A\":\"<&\\\"x y?\",\"Data\":{\"a\":1}}"), &a, &b);
    arena_close(&a);
    return 0;
}
