/* SPDX-License-Identifier: Apache-2.0 */
/* Any text is read, looked into and merged within bounds; what is valid stays so when written. */
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_of((const char *)data, size), out = {0};
    struct arena a = {.budget_bytes = 1 << 20};
    struct buf b;
    struct err e = {0};
    buf_init_arena(&b, &a, 1 << 20);
    bool valid = json_valid(text, &e);
    json_put_raw(&b, text);
    BUG(valid && !b.failed && !json_valid(buf_view(&b), &e));
    BUG(json_get(text, "a", JSON_ANY, &out, &a) && !out.p);
    BUG(json_merge(text, text, &a, &out, &e) && (!valid || !json_valid(out, &e)));
    arena_close(&a);
    return 0;
}
