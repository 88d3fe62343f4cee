/* SPDX-License-Identifier: Apache-2.0 */
/* The settings file: any bytes, over a setting of each kind with its own parser. */
#include "runtime/config.h"

static const struct config_row rows[] = {
    {.name = "s", .type = CONFIG_STR},
    {.name = "i", .type = CONFIG_INT, .offset = 8, .max = 1000},
    {.name = "t", .type = CONFIG_DURATION, .offset = 16},
    {.name = "z", .type = CONFIG_SIZE, .offset = 24},
    {.name = "c", .type = CONFIG_CHOICE, .offset = 32, .choices = "on off"},
    {.name = "b", .type = CONFIG_BOOL, .offset = 40},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_table t = {rows, sizeof(rows) / sizeof(rows[0]), "X_"};
    struct config_input in = {.file = "f", .file_bytes = {size ? (const char *)data : "", size}};
    int64_t out[6] = {0};
    int rest_n = 0;
    struct err e = {0};
    struct arena a;
    arena_init(&a, 1 << 20);
    BUG(config_load(&t, &in, out, NULL, &a, NULL, &rest_n, &e) == (e.status != 0));
    arena_close(&a);
    return 0;
}
