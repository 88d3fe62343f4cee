/* SPDX-License-Identifier: Apache-2.0 */
#include "http/body.h"

/* The first byte chooses the size of the pieces, so that every state meets an end of input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct body_decoder d;
    struct err e;
    struct str piece, all = {(const char *)data + 1, size ? size - 1 : 0};
    body_decoder_init(&d, true, -1);
    for (size_t step = size ? data[0] + 1U : 1; all.n > 0 && !d.done;) {
        struct str in = {all.p, all.n < step ? all.n : step};
        all = str_from_at(all, in.n);
        while (in.n > 0 && !d.done)
            if (!body_decode(&d, &in, &piece, &e))
                return 0;
    }
    return 0;
}
