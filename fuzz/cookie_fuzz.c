/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "http/cookie.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str field = {(const char *)data, size};
    struct str value = cookie_get(field, S("a"));
    BUG(value.p && (value.p < field.p || value.p + value.n > field.p + size));
    return 0;
}
