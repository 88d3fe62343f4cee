/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as a piece of a journal; what is a line is written again as the same bytes. */
#include "audit/journal_line.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_of((const char *)data, size);
    struct journal_line line;
    struct journal_hash hash = {"0000000000000000000000000000000000000000000000000000000000000000"};
    while (journal_line_read(rest, &line) == JOURNAL_SHAPE_LINE) {
        char mem[JOURNAL_LINE_MAX];
        struct buf b = {.p = mem, .cap = sizeof(mem), .max_bytes = sizeof(mem)};
        bool right = journal_line_follows(&line, &hash);
        journal_line_put(&b, line.sequence, line.record, &hash);
        BUG(right != str_eq(buf_view(&b), str_of(rest.p, line.size)));
        hash = line.hash;
        rest = str_from_at(rest, line.size);
    }
    return 0;
}
