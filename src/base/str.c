/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_eq(str_of(s.p, prefix.n), prefix);
}

bool str_starts_nocase(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_eq_nocase(str_of(s.p, prefix.n), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n && (suffix.n == 0 || str_eq(str_from_at(s, s.n - suffix.n), suffix));
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

struct str str_from_at(struct str s, size_t from)
{
    if (!s.p)
        return str_of(NULL, 0);
    if (from > s.n)
        from = s.n;
    return str_of(s.p + from, s.n - from);
}

bool str_find(struct str s, struct str needle, size_t *out)
{
    if (needle.n == 0) {
        *out = 0;
        return true;
    }
    const char *at = s.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;
    if (!at)
        return false;
    *out = (size_t)(at - s.p);
    return true;
}

bool str_find_char(struct str s, char c, size_t *out)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
    if (!at)
        return false;
    *out = (size_t)(at - s.p);
    return true;
}

bool str_cut(struct str s, char sep, struct str *head, struct str *rest)
{
    size_t at = 0;
    bool found = str_find_char(s, sep, &at);
    *head = found ? str_of(s.p, at) : s;
    *rest = found ? str_of(s.p + at + 1, s.n - at - 1) : str_of(NULL, 0);
    return found;
}

bool str_to_u64(struct str s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!is_digit(s.p[i]) || __builtin_mul_overflow(v, (uint64_t)10, &v)
            || __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    *out = v;
    return true;
}

bool str_to_i64(struct str s, int64_t *out)
{
    bool negative = s.n > 0 && s.p[0] == '-';
    uint64_t magnitude = 0;
    if (!str_to_u64(negative ? str_from_at(s, 1) : s, &magnitude)
        || magnitude > (uint64_t)INT64_MAX + negative)
        return false;
    /* Negated unsigned, since -INT64_MIN has no signed value. */
    *out = (int64_t)(negative ? 0 - magnitude : magnitude);
    return true;
}

/* Cuts the leading digits off *s; false when there are none. */
static bool take_digits(struct str *s, struct str *digits)
{
    size_t n = 0;
    while (n < s->n && is_digit(s->p[n]))
        n++;
    *digits = str_of(s->p, n);
    *s = str_from_at(*s, n);
    return n > 0;
}

/* Cuts a unit off *s. Longer names come first, so that "ms" is not read as "m". */
static bool take_unit(struct str *s, uint64_t *ns)
{
    static const struct {
        struct str name;
        uint64_t ns;
    } units[] = {
        {S_INIT("ns"), 1},
        {S_INIT("us"), 1000},
        {S_INIT("\xC2\xB5s"), 1000}, /* U+00B5 micro sign */
        {S_INIT("\xCE\xBCs"), 1000}, /* U+03BC Greek mu */
        {S_INIT("ms"), 1000000},
        {S_INIT("s"), 1000000000},
        {S_INIT("m"), 60000000000},
        {S_INIT("h"), 3600000000000},
        {S_INIT("d"), 86400000000000},
    };
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (str_starts(*s, units[i].name)) {
            *ns = units[i].ns;
            *s = str_from_at(*s, units[i].name.n);
            return true;
        }
    }
    return false;
}

/* 0.digits of a unit, cut to whole nanoseconds. */
static uint64_t fraction_ns(struct str digits, uint64_t unit_ns)
{
    uint64_t ns = 0, scale = unit_ns, rest = 0;
    for (size_t i = 0; i < digits.n && scale > 0; i++) {
        uint64_t d = (uint64_t)(digits.p[i] - '0');
        ns += d * (scale / 10);
        rest = rest * 10 + d * (scale % 10); /* in tenths of the next place */
        ns += rest / 10;
        rest %= 10;
        scale /= 10;
    }
    return ns;
}

bool str_to_duration_us(struct str s, int64_t *out)
{
    uint64_t total_ns = 0;
    if (str_eq(s, S("0"))) {
        *out = 0;
        return true;
    }
    if (s.n == 0)
        return false;
    while (s.n > 0) {
        struct str whole, fraction = {0};
        uint64_t count = 0, unit_ns = 0, part_ns = 0;
        bool has_whole = take_digits(&s, &whole), has_fraction = false;
        if (s.n > 0 && s.p[0] == '.') {
            s = str_from_at(s, 1);
            has_fraction = take_digits(&s, &fraction);
        }
        if ((!has_whole && !has_fraction) || (has_whole && !str_to_u64(whole, &count))
            || !take_unit(&s, &unit_ns) || __builtin_mul_overflow(count, unit_ns, &part_ns)
            || __builtin_add_overflow(part_ns, fraction_ns(fraction, unit_ns), &part_ns)
            || __builtin_add_overflow(total_ns, part_ns, &total_ns))
            return false;
    }
    *out = (int64_t)(total_ns / 1000);
    return true;
}

bool str_to_bool(struct str s, bool *out)
{
    static const struct {
        struct str word;
        bool value;
    } words[] = {
        {S_INIT("true"), true}, {S_INIT("false"), false}, {S_INIT("on"), true},
        {S_INIT("off"), false}, {S_INIT("yes"), true},    {S_INIT("no"), false},
        {S_INIT("1"), true},    {S_INIT("0"), false},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (str_eq_nocase(s, words[i].word)) {
            *out = words[i].value;
            return true;
        }
    }
    return false;
}

bool str_to_size(struct str s, size_t *out)
{
    static const struct {
        struct str name;
        size_t bytes;
    } units[] = {
        {S_INIT(""), 1},
        {S_INIT("B"), 1},
        {S_INIT("KiB"), 1024},
        {S_INIT("MiB"), 1048576},
        {S_INIT("GiB"), 1073741824},
        {S_INIT("TiB"), 1099511627776},
    };
    struct str digits;
    uint64_t count = 0, bytes = 0;
    if (!take_digits(&s, &digits) || !str_to_u64(digits, &count))
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (!str_eq(s, units[i].name))
            continue;
        if (__builtin_mul_overflow(count, (uint64_t)units[i].bytes, &bytes) || bytes > SIZE_MAX)
            return false;
        *out = (size_t)bytes;
        return true;
    }
    return false;
}

bool str_list_has(struct str list, struct str word)
{
    struct str item;
    for (bool more = word.n > 0; more;) {
        more = str_cut(list, ',', &item, &list);
        if (str_eq(str_trim(item), word))
            return true;
    }
    return false;
}
