/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/event_page.h"

#include <inttypes.h>
#include <stdio.h>

bool event_page_read(struct pg_now *pg, int64_t after, struct str since, int64_t most, bool newest,
                     struct pg_result **out, struct err *e)
{
    char after_text[24], most_text[24];
    snprintf(after_text, sizeof(after_text), "%" PRId64, after);
    snprintf(most_text, sizeof(most_text), "%" PRId64, most);
    struct str args[] = {str_from(after_text), since, str_from(most_text),
                         newest ? S("t") : S("f")};
    return pg_now_query(pg, audit_page_sql.text, args, 4, out, e);
}
