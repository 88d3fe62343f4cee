/* SPDX-License-Identifier: Apache-2.0 */
#include "http/method.h"

static const struct str names[METHOD_COUNT] = {
#define X(name) [METHOD_##name] = S_INIT(#name),
    METHOD_LIST(X)
#undef X
};

enum method method_parse(struct str s)
{
    for (int m = METHOD_NONE + 1; m < METHOD_COUNT; m++)
        if (str_eq(s, names[m]))
            return (enum method)m;
    return METHOD_NONE;
}

const char *method_name(enum method m)
{
    return m > METHOD_NONE && m < METHOD_COUNT ? names[m].p : "";
}
