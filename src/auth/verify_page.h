/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page behind a mail's link (mail_link_confirm=page): it says what the button will do, and the
 * button's form posts the token. Needs no script and loads nothing. Private to auth/.
 */
#ifndef AUTH_VERIFY_PAGE_H
#define AUTH_VERIFY_PAGE_H

#include "auth/auth_private.h"

MUST_CHECK bool verify_page_show(struct req *req, struct resp *resp, struct str type,
                                 struct str token, struct str target, struct err *e);

#endif
