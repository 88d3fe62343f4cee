/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/redirect.h"

#include "auth/auth_private.h"
#include "base/glob.h"
#include "base/url.h"
#include "base/utf8.h"

/* 127.0.0.0/8 in dotted form, or ::1: where an app of the user's own machine listens (RFC 8252 §7.3). */
static bool is_loopback(struct str host)
{
    size_t colon;
    return str_is(host, "::1")
           || (str_starts(host, S("127.")) && !str_find_char(host, ':', &colon));
}

enum host_form { HOST_NAME, HOST_ADDRESS, HOST_NUMBER, HOST_FOREIGN };

/* Names of letters, digits, dots and hyphens only: what else there is, parsers read differently. */
static enum host_form form_of(struct str host)
{
    size_t digits = 0, dots = 0, colon;
    if (str_find_char(host, ':', &colon))
        return HOST_ADDRESS;
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        digits += c >= '0' && c <= '9';
        dots += c == '.';
        if (!letter && c != '-' && c != '.' && !(c >= '0' && c <= '9'))
            return HOST_FOREIGN;
    }
    if (host.n == 0 || digits + dots < host.n)
        return str_starts_nocase(host, S("0x")) ? HOST_NUMBER : HOST_NAME;
    return dots == 3 ? HOST_ADDRESS : HOST_NUMBER;
}

static bool is_http(struct str scheme)
{
    return str_eq_nocase(scheme, S("http")) || str_eq_nocase(scheme, S("https"));
}

static int port_of(const struct url_parts *u)
{
    if (u->port >= 0)
        return u->port;
    return str_eq_nocase(u->scheme, S("https")) ? 443 : 80;
}

static bool is_own_site(struct str site_url, const struct url_parts *u)
{
    struct url_parts site;
    return url_parse(site_url, &site) && str_eq_nocase(site.scheme, u->scheme)
           && str_eq_nocase(site.host, u->host)
           && (port_of(&site) == port_of(u) || is_loopback(u->host)
               || str_eq_nocase(u->host, S("localhost")));
}

/* The pattern at the front of *list, up to a comma outside braces. */
static struct str next_pattern(struct str *list)
{
    int depth = 0;
    size_t i = 0;
    for (; i < list->n && (list->p[i] != ',' || depth > 0); i++) {
        depth += (list->p[i] == '{') - (list->p[i] == '}');
        i += list->p[i] == '\\';
    }
    struct str head = str_trim(str_of(list->p, i < list->n ? i : list->n));
    *list = str_from_at(*list, i + 1);
    return head;
}

/* Scheme and name, up to the path. */
static struct str authority_of(struct str s)
{
    size_t colon, slash;
    if (!str_find(s, S("://"), &colon) || !str_find_char(str_from_at(s, colon + 3), '/', &slash))
        return s;
    return str_of(s.p, colon + 3 + slash);
}

/*
 * A "**" inside of a name stays in it, although it may run over any character: the pattern
 * of an app's many subdomains does not mean https://evil.test/x.example.com.
 */
static bool name_fits(struct str pattern, struct str url)
{
    struct str name = authority_of(pattern);
    size_t at;
    return !str_find(name, S("**"), &at) || str_ends(name, S("**"))
           || glob_match(name, authority_of(url));
}

static bool is_listed(struct str list, struct str url)
{
    while (list.n > 0) {
        struct str pattern = next_pattern(&list);
        if (pattern.n && name_fits(pattern, url) && glob_match(pattern, url))
            return true;
    }
    return false;
}

/*
 * As browsers read it, "https://a?b" has the path "/": without it a pattern for names would let its
 * "*" run from the name into the query. room: one byte longer than whole.
 */
static struct str with_path(struct str whole, const struct url_parts *u, char *room)
{
    if (!is_http(u->scheme) || u->path.n || !u->query.p)
        return whole;
    size_t at = (size_t)(u->query.p - 1 - whole.p);
    memcpy(room, whole.p, at);
    room[at] = '/';
    memcpy(room + at + 1, whole.p + at, whole.n - at);
    return str_of(room, whole.n + 1);
}

bool redirect_allowed(struct str site_url, struct str allow_list, struct str url)
{
    struct url_parts u;
    struct str whole, fragment;
    char room[GLOB_TEXT_MAX + 1];
    if (url.n > GLOB_TEXT_MAX || !utf8_valid(url) || !url_parse(url, &u) || u.userinfo.p)
        return false;
    if (is_own_site(site_url, &u))
        return true;
    enum host_form form = form_of(u.host);
    if (form == HOST_NUMBER || (form == HOST_FOREIGN && is_http(u.scheme))
        || (u.host.n == 0 && is_http(u.scheme)))
        return false;
    if (form == HOST_ADDRESS && (is_http(u.scheme) || !is_loopback(u.host)))
        return is_loopback(u.host);
    str_cut(url, '#', &whole, &fragment);
    return is_listed(allow_list, with_path(whole, &u, room));
}

struct str redirect_target(struct req *req, struct str asked)
{
    const struct auth_config *c = auth_config_of(req);
    struct str candidates[] = {
        req_header(req, S("redirect_to")),
        asked.n ? asked : req_query(req, "redirect_to"),
        req_header(req, S("referer")),
    };
    for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++)
        if (candidates[i].n && redirect_allowed(c->site_url, c->uri_allow_list, candidates[i]))
            return arena_str(req->arena, candidates[i]);
    return c->site_url;
}
