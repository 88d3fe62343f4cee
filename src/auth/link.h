/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links that an administrator has made, to be handed over by the app's own means, and invitations,
 * which are such a link sent by us. GoTrue mail.go, invite.go; auth.md §1.9, §6.14, §6.19. Private to auth/.
 */
#ifndef AUTH_LINK_H
#define AUTH_LINK_H

#include "auth/one_time.h"

struct link_ask {
    struct str type;      /* "signup", "invite", "magiclink", "recovery", "email_change_current", "…_new" */
    struct str email;     /* normalised */
    struct str new_email; /* as sent; of the last two types */
    struct str password;  /* of a signup */
    struct str data;      /* user_metadata of whom this makes; JSON object or absent */
    struct str redirect_to; /* as sent */
    bool send;            /* by mail */
};

struct link_made {
    struct user user;
    struct one_time token;
    const char *type; /* "signup" when a magic link had to make its user */
    struct str url, redirect_to;
};

/*
 * Errors: 404 "user_not_found" (recovery, email_change_…); 422 "email_exists" (signup and invite of a
 * confirmed address, a new one that is taken), "weak_password"; 400 "validation_failed"; 409 "conflict".
 */
MUST_CHECK bool link_make(struct req *req, const struct link_ask *ask, struct link_made *out,
                          struct err *e);

#endif
