/* SPDX-License-Identifier: Apache-2.0 */
/* Any pattern against any text ends, within bounds; a plain text matches itself. */
#include "base/err.h"
#include "base/glob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text, pattern;
    str_cut(str_of((const char *)data, size), '\n', &pattern, &text);
    bool matched = glob_match(pattern, text);
    BUG(matched && pattern.n == 0 && text.n > 0);
    BUG(text.n <= GLOB_TEXT_MAX && !glob_match(S("**"), text));
    return 0;
}
