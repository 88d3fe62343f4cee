/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/password_rules.h"

#include "auth/auth_private.h"
#include "auth/password_list.h"
#include "auth/pwned.h"
#include "base/json.h"
#include "base/secret.h"
#include "crypto/hash.h"

/* In the order in which they are told. */
enum { LENGTH = 1, CHARACTERS = 2, PWNED = 4, REASONS = 8 };

static const char *const reasons_text[REASONS] = {
    [LENGTH] = "[\"length\"]",
    [CHARACTERS] = "[\"characters\"]",
    [LENGTH | CHARACTERS] = "[\"length\",\"characters\"]",
    [PWNED] = "[\"pwned\"]",
    [LENGTH | PWNED] = "[\"length\",\"pwned\"]",
    [CHARACTERS | PWNED] = "[\"characters\",\"pwned\"]",
    [LENGTH | CHARACTERS | PWNED] = "[\"length\",\"characters\",\"pwned\"]",
};

/* The sets are separated by ':'; a colon of a set's own is "\:". False at the end. */
static bool next_set(struct str *rest, struct str *set)
{
    if (!rest->p)
        return false;
    size_t n = 0;
    while (n < rest->n && (rest->p[n] != ':' || (n > 0 && rest->p[n - 1] == '\\')))
        n++;
    *set = str_of(rest->p, n);
    *rest = n < rest->n ? str_from_at(*rest, n + 1) : (struct str){0};
    return true;
}

static bool escapes_colon(struct str set, size_t i)
{
    return set.p[i] == '\\' && i + 1 < set.n && set.p[i + 1] == ':';
}

static bool has_one_of(struct str password, struct str set)
{
    for (size_t i = 0; i < set.n; i++)
        if (!escapes_colon(set, i) && password.n && memchr(password.p, set.p[i], password.n))
            return true;
    return false;
}

static bool has_all_sets(const struct auth_config *c, struct str password)
{
    struct str rest = c->password_characters, set;
    while (next_set(&rest, &set))
        if (set.n > 0 && !has_one_of(password, set))
            return false;
    return true;
}

static bool list_has(uint64_t head)
{
    size_t from = 0, to = password_list_count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (password_list[middle] == head)
            return true;
        if (password_list[middle] < head)
            from = middle + 1;
        else
            to = middle;
    }
    return false;
}

/* Whoever guesses tries the other letter case too. */
static bool is_common(struct str password)
{
    enum { LONGEST = 64 }; /* no common one is longer */
    char lower[LONGEST];
    unsigned char digest[32];
    uint64_t head = 0;
    if (password.n > LONGEST)
        return false;
    for (size_t i = 0; i < password.n; i++)
        lower[i] = password.p[i] >= 'A' && password.p[i] <= 'Z' ? (char)(password.p[i] + 32)
                                                                 : password.p[i];
    hash_sha256(str_of(lower, password.n), digest);
    for (size_t i = 0; i < sizeof(head); i++)
        head = head << 8 | digest[i];
    secret_wipe_bytes(lower, sizeof(lower));
    return list_has(head);
}

static unsigned reasons_of(const struct auth_config *c, struct str password)
{
    unsigned why = 0;
    if ((int64_t)password.n < c->password_min)
        why |= LENGTH;
    if (!has_all_sets(c, password))
        why |= CHARACTERS;
    if (c->password_blocklist != PASSWORD_BLOCKLIST_OFF && is_common(password))
        why |= PWNED;
    return why;
}

/* All sets, as GoTrue prints them: "abc, 123". */
static void put_sets(struct buf *b, const struct auth_config *c)
{
    struct str rest = c->password_characters, set;
    for (bool first = true; next_set(&rest, &set); first = false) {
        if (!first)
            BUF_LIT(b, ", ");
        for (size_t i = 0; i < set.n; i++)
            if (!escapes_colon(set, i))
                buf_char(b, set.p[i]);
    }
}

/* GoTrue's sentences, joined by a space. */
static void put_message(struct buf *b, const struct auth_config *c, unsigned why)
{
    if (why & LENGTH)
        buf_printf(b, "Password should be at least %lld characters.", (long long)c->password_min);
    if (why & CHARACTERS) {
        buf_printf(b, "%sPassword should contain at least one character of each: ",
                   b->n ? " " : "");
        put_sets(b, c);
        buf_char(b, '.');
    }
    if (why & PWNED)
        buf_printf(b, "%sPassword is known to be weak and easy to guess, please choose a different one.",
                   b->n ? " " : "");
}

/* What is refused of it, in GoTrue's words; true when nothing is. */
static bool refused(const struct auth_config *c, unsigned why, struct err *e)
{
    if (!why)
        return true;
    char text[sizeof(e->message)];
    struct buf b = {.p = text, .cap = sizeof(text), .max_bytes = sizeof(text)};
    put_message(&b, c, why);
    err_set(e, 422, "weak_password", "%.*s", STR_ARG(buf_view(&b)));
    e->reasons = reasons_text[why];
    return false;
}

static unsigned without_reported(const struct auth_config *c, unsigned why)
{
    return c->password_blocklist == PASSWORD_BLOCKLIST_REFUSE ? why : why & ~(unsigned)PWNED;
}

bool password_rules_check(const struct auth_config *c, struct str password,
                          struct str *reasons_json, struct err *e)
{
    unsigned why = reasons_of(c, password);
    if (reasons_json)
        *reasons_json = str_from(reasons_text[why]);
    return refused(c, without_reported(c, why), e);
}

bool password_rules_ask(struct req *req, struct str password, struct err *e)
{
    const struct auth_config *c = auth_config_of(req);
    bool leaked;
    if (!pwned_check(req, password, &leaked, e))
        return false;
    unsigned why = without_reported(c, reasons_of(c, password));
    return refused(c, leaked ? why | PWNED : why, e);
}

/* Only a report: a service that is away takes no session from anybody. */
static unsigned reported(struct req *req, struct str password)
{
    struct err ignored = {0};
    bool leaked = false;
    unsigned why = reasons_of(auth_config_of(req), password);
    return !(why & PWNED) && pwned_check(req, password, &leaked, &ignored) && leaked ? why | PWNED
                                                                                    : why;
}

void password_rules_put_weak(struct buf *session, struct req *req, struct str password)
{
    unsigned why = reported(req, password);
    if (!why || session->failed)
        return;
    char text[sizeof((struct err){0}.message)];
    struct buf b = {.p = text, .cap = sizeof(text), .max_bytes = sizeof(text)};
    put_message(&b, auth_config_of(req), why);
    session->n--; /* the closing brace */
    json_put_key(session, "weak_password");
    json_put_open(session, '{');
    json_put_kstr(session, "message", buf_view(&b));
    json_put_kraw(session, "reasons", str_from(reasons_text[why]));
    json_put_close(session, '}');
    json_put_close(session, '}');
}
