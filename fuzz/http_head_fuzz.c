/* SPDX-License-Identifier: Apache-2.0 */
#include "http/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct head h;
    struct err e;
    size_t scanned = 0, used = 0;
    for (size_t n = size > 64 ? size - 64 : 0; n <= size;
         n++) { /* grows as a socket's input does */
        enum head_result r = head_parse(str_of((const char *)data, n), &scanned, &h, &used, &e);
        BUG(r == HEAD_DONE && (used > n || h.path.n == 0 || (h.chunked && h.content_length >= 0)));
        if (r != HEAD_MORE)
            break;
    }
    return 0;
}
