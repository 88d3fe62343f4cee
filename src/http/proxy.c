/* SPDX-License-Identifier: Apache-2.0 */
#include "http/proxy.h"

#include <arpa/inet.h>
#include <stdlib.h>

enum { RANGES_MAX = 256, ADDRESS_TEXT_MAX = 45 };

/* IPv4 as ::ffff:a.b.c.d, so that one comparison does for both. */
struct range {
    unsigned char address[16];
    unsigned bits;
};

struct proxy_list {
    size_t count;
    struct range ranges[RANGES_MAX];
};

/* ---- addresses ---- */

static bool address_parse(struct str s, unsigned char out[16], bool *v4)
{
    char text[ADDRESS_TEXT_MAX + 1];
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (s.n == 0 || s.n > ADDRESS_TEXT_MAX)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    *v4 = inet_pton(AF_INET, text, out + 12) == 1;
    if (*v4)
        memcpy(out, mapped, sizeof(mapped));
    return *v4 || inet_pton(AF_INET6, text, out) == 1;
}

static bool range_parse(struct str s, struct range *out)
{
    struct str address, bits;
    bool v4 = false;
    uint64_t n = 0;
    bool ranged = str_cut(s, '/', &address, &bits);
    if (!address_parse(address, out->address, &v4))
        return false;
    out->bits = 128;
    if (!ranged)
        return true;
    if (!str_to_u64(bits, &n) || n > (v4 ? 32 : 128))
        return false;
    out->bits = (unsigned)n + (v4 ? 96 : 0);
    return true;
}

static bool range_has(const struct range *r, const unsigned char address[16])
{
    unsigned bytes = r->bits / 8, rest = r->bits % 8;
    if (memcmp(r->address, address, bytes) != 0)
        return false;
    return rest == 0 || ((r->address[bytes] ^ address[bytes]) >> (8 - rest)) == 0;
}

bool proxy_open(const char *list, struct proxy_list **out, struct err *e)
{
    struct proxy_list *p = calloc(1, sizeof(*p));
    BUG(!p);
    struct str item, rest = str_from(list);
    for (bool more = list != NULL; more;) {
        more = str_cut(rest, ',', &item, &rest);
        item = str_trim(item);
        if (item.n == 0)
            continue;
        if (p->count == RANGES_MAX || !range_parse(item, &p->ranges[p->count])) {
            proxy_close(p);
            return err_set(e, 500, "proxy_invalid", "\"%.*s\" is no address or CIDR of a proxy",
                           (int)(item.n < 60 ? item.n : 60), item.p);
        }
        p->count++;
    }
    *out = p;
    return true;
}

void proxy_close(struct proxy_list *p)
{
    free(p);
}

bool proxy_trusts(const struct proxy_list *p, struct str ip)
{
    unsigned char address[16];
    bool v4;
    if (p->count == 0 || !address_parse(ip, address, &v4))
        return false;
    for (size_t i = 0; i < p->count; i++)
        if (range_has(&p->ranges[i], address))
            return true;
    return false;
}

/* ---- fields ---- */

/* "1.2.3.4", "1.2.3.4:567", "::1", "[::1]", "[::1]:567", quotes around any; else absent. */
static struct str address_of(struct str s)
{
    unsigned char address[16];
    bool v4;
    size_t at;
    if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
        s = str_of(s.p + 1, s.n - 2);
    if (s.n > 0 && s.p[0] == '[' && str_find_char(s, ']', &at))
        s = str_of(s.p + 1, at - 1);
    else if (str_find_char(s, ':', &at) && !memchr(s.p + at + 1, ':', s.n - at - 1))
        s = str_of(s.p, at);
    return address_parse(s, address, &v4) ? s : (struct str){0};
}

/* The for= of one element of Forwarded. */
static struct str forwarded_for(struct str element)
{
    struct str pair, rest = element;
    for (bool more = true; more;) {
        more = str_cut(rest, ';', &pair, &rest);
        pair = str_trim(pair);
        if (str_starts_nocase(pair, S("for=")))
            return address_of(str_from_at(pair, 4));
    }
    return (struct str){0};
}

static struct str forwarded_plain(struct str element)
{
    return address_of(str_trim(element));
}

/* Cuts the part behind the last comma off *s. */
static struct str cut_last(struct str *s)
{
    const char *comma = s->n ? memrchr(s->p, ',', s->n) : NULL;
    struct str last = comma ? str_from_at(*s, (size_t)(comma + 1 - s->p)) : *s;
    *s = comma ? str_of(s->p, (size_t)(comma - s->p)) : (struct str){0};
    return last;
}

/*
 * From right to left, that is from the nearest proxy outwards, over all fields of that name. Stops
 * at the first stranger, and at what is no address: nothing left of it can be believed.
 */
static struct str walk(const struct proxy_list *p, const struct head *h, struct str name,
                       struct str (*address)(struct str), struct str peer)
{
    for (unsigned i = h->field_count; i-- > 0;) {
        struct str rest = h->fields[i].value;
        if (!str_eq_nocase(h->fields[i].name, name))
            continue;
        while (rest.p) {
            struct str ip = address(cut_last(&rest));
            if (!ip.p)
                return peer;
            peer = ip;
            if (!proxy_trusts(p, ip))
                return peer;
        }
    }
    return peer;
}

struct str proxy_client(const struct proxy_list *p, const struct head *h, struct str peer)
{
    if (head_get(h, S("x-forwarded-for")).p)
        return walk(p, h, S("x-forwarded-for"), forwarded_plain, peer);
    return walk(p, h, S("forwarded"), forwarded_for, peer);
}

bool proxy_https(const struct head *h)
{
    struct str value = head_get(h, S("x-forwarded-proto"));
    return str_eq_nocase(str_trim(cut_last(&value)),
                         S("https")); /* the nearest proxy appended it */
}
