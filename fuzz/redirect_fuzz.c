/* SPDX-License-Identifier: Apache-2.0 */
/* What is allowed leads where it says, also as browsers read it: the site, the list's hosts, or loopback. */
#include "auth/redirect.h"
#include "base/err.h"

/* WHATWG URL: a backslash is a slash, and the host is behind the last '@'; with its port, but for ":" alone. */
static struct str browser_host(struct str url)
{
    struct str rest = str_from_at(url, sizeof("https://") - 1);
    size_t from = 0, to = 0;
    if (!str_starts_nocase(url, S("https://")))
        return (struct str){0};
    for (; to < rest.n && !memchr("/\\?#", rest.p[to], 4); to++)
        from = rest.p[to] == '@' ? to + 1 : from;
    to -= to > from && rest.p[to - 1] == ':';
    return str_of(rest.p + from, to - from);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str url = str_of((const char *)data, size), host = browser_host(url);
    struct str end = S(".preview.example.net");
    struct str list = S("https://*.preview.example.net/**");
    if (!redirect_allowed(S("https://app.example.com"), list, url))
        return 0;
    for (size_t i = 0; i < url.n; i++)
        BUG((unsigned char)url.p[i] <= ' ' || url.p[i] == 0x7f || url.p[i] == '\\'
            || url.p[i] == '"');
    bool listed = host.n >= end.n && str_eq(str_from_at(host, host.n - end.n), end);
    bool site =
        str_eq_nocase(host, S("app.example.com")) || str_eq_nocase(host, S("app.example.com:443"));
    static const struct str loopback[] = {S_INIT("http://127."), S_INIT("https://127."),
                                          S_INIT("http://[::1]"), S_INIT("https://[::1]")};
    bool local = false;
    for (size_t i = 0; i < sizeof(loopback) / sizeof(loopback[0]); i++)
        local = local || str_starts_nocase(url, loopback[i]);
    BUG(!listed && !site && !local);
    return 0;
}
