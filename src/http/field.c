/* SPDX-License-Identifier: Apache-2.0 */
#include "http/field.h"

/* RFC 9110 §5.6.2; RFC 5322 allows more in a name, and nobody uses it */
static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return s.n > 0;
}

static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return true;
    }
    return false;
}

bool field_next(struct str *rest, struct str *name, struct str *value)
{
    size_t end;
    struct str n, v;
    if (!str_find(*rest, S("\r\n"), &end) || !str_cut(str_of(rest->p, end), ':', &n, &v)
        || !is_token(n) || has_control(v))
        return false;
    *rest = str_from_at(*rest, end + 2);
    *name = n;
    *value = str_trim(v);
    return true;
}

struct str field_get(struct str fields, const char *name)
{
    struct str n, value;
    while (field_next(&fields, &n, &value)) {
        if (str_eq_nocase(n, str_from(name)))
            return value;
    }
    return (struct str){0};
}
