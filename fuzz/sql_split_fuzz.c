/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a script: statements lie in it in order, are never empty, and cut again stay whole. */
#include "base/err.h"
#include "pg/sql_split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sql_split split = {.script = str_of((const char *)data, size)}, once;
    struct str statement, again;
    for (const char *end = split.script.p; sql_split_next(&split, &statement);) {
        BUG(statement.n == 0 || statement.p < end
            || statement.p + statement.n > split.script.p + size);
        end = statement.p + statement.n;
        once = (struct sql_split){.script = statement};
        BUG(!sql_split_next(&once, &again) || !str_eq(again, statement));
        BUG(sql_split_word(statement, 1).n > statement.n);
    }
    return 0;
}
