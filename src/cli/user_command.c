/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `basalt user`: the server's own rules, so that a user made here has identity and profile in the
 * same transaction as over HTTP, and running servers hear of changes.
 */
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include "auth/auth.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/utf8.h"
#include "cli/command.h"
#include "cli/errand.h"
#include "guard/services.h"

enum {
    PASSWORD_LINE_MAX = 4096, /* bytes, as over HTTP */
    ROLE_JSON_MAX = 4096,
    LIST_MAX = 1000,
};

/* ---- the verbs ----------------------------------------------------------------------------- */

static bool has_flag(const struct errand *j, const char *flag)
{
    for (int i = 2; i < j->n; i++)
        if (strcmp(j->args[i], flag) == 0)
            return true;
    return false;
}

static struct str flag_value(const struct errand *j, const char *flag)
{
    for (int i = 2; i + 1 < j->n; i++)
        if (strcmp(j->args[i], flag) == 0)
            return str_from(j->args[i + 1]);
    return (struct str){0};
}

/* The terminal shows what is typed, or not; was is what it was before. */
static void echo_set(bool on, struct termios *was)
{
    struct termios quiet;
    if (on) {
        tcsetattr(STDIN_FILENO, TCSANOW, was);
        fputc('\n', stderr);
    } else if (tcgetattr(STDIN_FILENO, was) == 0) {
        quiet = *was;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
        fprintf(stderr, "Password: ");
    }
}

/* Byte by byte, so that no stdio buffer keeps it: what fits, and how long the line really is. */
static size_t line_read(char line[PASSWORD_LINE_MAX])
{
    size_t n = 0;
    char c;
    while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n') {
        if (n < PASSWORD_LINE_MAX)
            line[n] = c;
        n++;
    }
    return n > 0 && n <= PASSWORD_LINE_MAX && line[n - 1] == '\r' ? n - 1 : n;
}

static bool password_form(const char *line, size_t n, struct err *e)
{
    if (n == 0)
        return err_set(e, 2, "password_missing", "the password is empty: it is read from standard input");
    if (n > PASSWORD_LINE_MAX)
        return err_set(e, 2, "password_form", "the password is longer than %d bytes", PASSWORD_LINE_MAX);
    if (memchr(line, '\0', n) || !utf8_valid(str_of(line, n)))
        return err_set(e, 2, "password_form", "the password is not UTF-8 text, so that no client could send it");
    return true;
}

/* One line of standard input; asked for when that is a terminal. */
static bool password_read(struct errand *j, struct str *out)
{
    char line[PASSWORD_LINE_MAX];
    struct termios was;
    bool asks = isatty(STDIN_FILENO);
    if (asks)
        echo_set(false, &was);
    size_t n = line_read(line);
    if (asks)
        echo_set(true, &was);
    bool ok = password_form(line, n, &j->e);
    if (ok)
        *out = arena_str(j->req->arena, str_of(line, n));
    secret_wipe_bytes(line, sizeof(line));
    return ok;
}

static bool find(struct errand *j, struct user *out)
{
    struct str email;
    return user_email_normal(j->req->arena, str_from(j->args[1]), &email, &j->e)
           && user_load_by_email(j->req, email, out, &j->e);
}

/* The profile's role, by the rule of the app routes: a slip of the pen shall not go unseen. */
static bool role_read(struct errand *j, struct str *metadata)
{
    struct arena *a = j->req->arena;
    struct str role = flag_value(j, "--role");
    struct buf b;
    if (!role.p)
        return !has_flag(j, "--role") || err_set(&j->e, 2, "misused", "--role takes a role");
    buf_init_arena(&b, a, ROLE_JSON_MAX);
    json_put_str(&b, role);
    if (!signup_profile_check(j->req->services->auth, S("role"), buf_view(&b), a, &j->e))
        return false;
    *metadata = arena_printf(a, "{\"role\":%.*s}", STR_ARG(buf_view(&b)));
    return true;
}

static bool create(struct errand *j)
{
    struct signup s = {.actor_kind = "cli", .quiet = true, .email_confirmed = has_flag(j, "--confirmed")};
    struct login l;
    if (!user_email_normal(j->req->arena, str_from(j->args[1]), &s.email, &j->e)
        || !role_read(j, &s.user_metadata) || !password_read(j, &s.password))
        return false;
    if (!signup_run(j->req, &s, &l, &j->e))
        return false;
    printf("%s %.*s%s\n", l.user.id.text, STR_ARG(l.user.email),
           s.email_confirmed ? "" : " (not confirmed)");
    return true;
}

static bool change(struct errand *j, struct user_change *c)
{
    struct user u;
    c->actor_kind = "cli";
    if (!find(j, &u) || !user_admin_update(j->req, uuid_str(&u.id), c, &u, &j->e))
        return false;
    printf("%s %.*s\n", u.id.text, STR_ARG(u.email));
    return true;
}

static bool confirm(struct errand *j)
{
    return change(j, &(struct user_change){.confirm_email = true});
}

static bool password(struct errand *j)
{
    struct user_change c = {0};
    return password_read(j, &c.password) && change(j, &c);
}

static bool list(struct errand *j)
{
    struct user_page page;
    struct str filter = j->n > 1 ? str_from(j->args[1]) : (struct str){0};
    if (!user_admin_list(j->req, filter, false, 1, LIST_MAX, &page, &j->e))
        return false;
    for (size_t i = 0; i < page.count; i++) {
        const struct user *u = &page.users[i];
        char made[28];
        clock_rfc3339(u->created_us, made);
        printf("%s  %.19s  %-12s %.*s\n", u->id.text, made,
               u->banned_until_us > j->req->now_us ? "banned"
               : user_confirmed(u)                 ? "confirmed"
                                                   : "unconfirmed",
               STR_ARG(u->email));
    }
    if ((int64_t)page.count < page.total)
        printf("… and %lld more: add a filter\n", (long long)(page.total - (int64_t)page.count));
    return true;
}

static bool delete (struct errand *j)
{
    struct user u;
    if (!find(j, &u) || !user_admin_delete(j->req, uuid_str(&u.id), false, "cli", &j->e))
        return false;
    printf("deleted %s %.*s\n", u.id.text, STR_ARG(u.email));
    return true;
}

struct verb {
    const char *name;
    int least, most; /* words, the verb included and flags not */
    bool (*run)(struct errand *);
};

static const struct verb verbs[] = {
    {"create", 2, 2, create}, {"confirm", 2, 2, confirm}, {"password", 2, 2, password},
    {"list", 1, 2, list},     {"delete", 2, 2, delete},
};

/* The command's own flags stand behind its words (cli/main.c). */
static int words(const char **args, int n)
{
    int i = 0;
    while (i < n && strncmp(args[i], "--", 2) != 0)
        i++;
    return i;
}

int user_command(struct settings *s, const char **args, int n)
{
    for (size_t i = 0; n > 0 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(args[0], verbs[i].name) != 0)
            continue;
        int given = words(args, n);
        if (given < verbs[i].least || given > verbs[i].most || (given < n && verbs[i].run != create))
            return command_misused("user",
                                   "an e-mail address is missing, or there are too many words");
        struct errand j = {.args = args, .n = n, .run = verbs[i].run, .agent = "basalt user"};
        return errand_run(s, &j) ? 0 : command_fail(&j.e);
    }
    return command_misused("user", "it takes create, confirm, password, list or delete");
}
