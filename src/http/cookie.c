/* SPDX-License-Identifier: Apache-2.0 */
#include "http/cookie.h"

/* Double quotes stay part of the value, as browsers keep them (RFC 6265 §5.2). */
struct str cookie_get(struct str field, struct str name)
{
    struct str rest = field, pair;
    for (bool more = field.p != NULL; more;) {
        more = str_cut(rest, ';', &pair, &rest);
        struct str key, value;
        if (str_cut(pair, '=', &key, &value) && str_eq(str_trim(key), name))
            return str_trim(value);
    }
    return (struct str){0};
}
