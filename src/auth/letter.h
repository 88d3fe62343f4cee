/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a mail says: subject and HTML of each kind, from templates that are built in, files, or
 * fetched from URLs as GoTrue does. Rendered where the mail is sent, not where it is asked for, so
 * that no transaction waits for a template. Private to auth/; rendering on loop 0 only.
 */
#ifndef AUTH_LETTER_H
#define AUTH_LETTER_H

#include "auth/auth.h"

struct letters;

struct letter {
    struct str subject, html;
};

/* Before the loops run: reads and checks every template. e: status 2 "config", naming setting and line. */
MUST_CHECK bool letter_open(const struct auth_config *c, struct letters **out, struct err *e);
void letter_close(struct letters *l);

const char *letter_kind_name(enum mail_kind kind);
enum mail_path letter_path(enum mail_kind kind);
/* False when there is no such kind. */
bool letter_kind(struct str name, enum mail_kind *out);

/*
 * data: what mailer_queue wrote. Waits when the template is a URL that is not known yet or too old;
 * an old one goes on serving while it cannot be had. e: 5xx of the fetch, 400 "template_invalid",
 * 413 "request_entity_too_large".
 */
MUST_CHECK bool letter_render(struct letters *l, enum mail_kind kind, struct str data,
                              struct arena *a, struct letter *out, struct err *e);

#endif
