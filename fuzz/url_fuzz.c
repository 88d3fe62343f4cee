/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as URL, query and text stay within bounds; encoding undoes decoding. */
#include "base/err.h"
#include "base/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_of((const char *)data, size), rest = text, name, value, plain;
    struct url_parts u;
    struct arena a = {.budget_bytes = 1 << 20};
    struct buf b = {.arena = &a, .max_bytes = 1 << 20};
    BUG(url_parse(text, &u) && (u.port > 65535 || u.scheme.n + u.host.n + u.path.n > size));
    while (url_query_next(&a, &rest, &name, &value))
        BUG(name.n + value.n > size);
    url_encode(&b, plain = url_decode(&a, text, false));
    BUG(plain.p && size < 1000 && !str_eq(url_decode(&a, buf_view(&b), false), plain));
    arena_close(&a);
    return 0;
}
