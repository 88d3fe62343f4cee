/* SPDX-License-Identifier: Apache-2.0 */
/* `basalt mail`: the outbox, and templates before they are used. */
#include <stdio.h>

#include "auth/auth.h"
#include "cli/command.h"
#include "cli/errand.h"

enum { LIST_MAX = 100 };

static bool list(struct errand *j)
{
    struct mail_row *rows;
    size_t n;
    struct str who = j->n > 1 ? str_from(j->args[1]) : (struct str){0};
    if (!mailbox_list(j->req, who, LIST_MAX, &rows, &n, &j->e))
        return false;
    for (size_t i = 0; i < n; i++)
        printf("%.*s  %.19s  %-8.*s %-16.*s %.*s%s%.*s\n", STR_ARG(rows[i].id),
               rows[i].created_at.p, STR_ARG(rows[i].state), STR_ARG(rows[i].kind),
               STR_ARG(rows[i].recipient), rows[i].last_error.n ? "  " : "",
               STR_ARG(rows[i].last_error));
    if (n == LIST_MAX)
        printf("… the newest %d: name an address to see its older ones\n", LIST_MAX);
    return true;
}

static bool show(struct errand *j)
{
    struct mail_row row;
    struct str subject = {0}, html = {0};
    if (!mailbox_show(j->req, str_from(j->args[1]), &row, &subject, &html, &j->e))
        return false;
    printf("To: %.*s\nKind: %.*s\nState: %.*s\n", STR_ARG(row.recipient), STR_ARG(row.kind),
           STR_ARG(row.state));
    if (subject.p)
        printf("Subject: %.*s\n\n%.*s\n", STR_ARG(subject), STR_ARG(html));
    else
        printf("\nWhat it said is forgotten, since it was sent or has expired.\n");
    return true;
}

static bool preview(struct errand *j)
{
    struct str subject, html, data = {0};
    for (int i = 2; i < j->n; i++)
        if (strcmp(j->args[i], "--with") == 0)
            data = i + 1 < j->n ? str_from(j->args[i + 1]) : S("");
    if (!mailbox_preview(j->req, str_from(j->args[1]), data, &subject, &html, &j->e))
        return false;
    printf("Subject: %.*s\n\n%.*s\n", STR_ARG(subject), STR_ARG(html));
    return true;
}

static bool retry(struct errand *j)
{
    if (!mailbox_retry(j->req, str_from(j->args[1]), &j->e))
        return false;
    printf("%s is sent anew%s\n", j->args[1],
           settings_mails(j->settings) ? "" : ", by a server that can send mail");
    return true;
}

struct verb {
    const char *name;
    int least, most; /* words, the verb included and flags not */
    bool (*run)(struct errand *);
};

static const struct verb verbs[] = {
    {"list", 1, 2, list}, {"show", 2, 2, show}, {"preview", 2, 4, preview}, {"retry", 2, 2, retry}};

int mail_command(struct settings *s, const char **args, int n)
{
    for (size_t i = 0; n > 0 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(args[0], verbs[i].name) != 0)
            continue;
        if (n < verbs[i].least || n > verbs[i].most)
            return command_misused("mail", "a word is missing, or there are too many");
        struct errand j = {.args = args, .n = n, .run = verbs[i].run, .agent = "basalt mail"};
        return errand_run(s, &j) ? 0 : command_fail(&j.e);
    }
    return command_misused("mail", "it takes list, show, preview or retry");
}
