/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a flow may send the browser, and with it a session: the app's own site and what the
 * allow-list names (spec auth.md §0 "redirect target", §6.6; GoTrue utilities/request.go). Stricter
 * than its model where parsers disagree: control characters, backslashes and userinfo are refused.
 */
#ifndef AUTH_REDIRECT_H
#define AUTH_REDIRECT_H

#include "auth/auth.h"

/* site_url: the app's; allow_list: patterns of base/glob.h, separated by commas outside braces. */
bool redirect_allowed(struct str site_url, struct str allow_list, struct str url);
/*
 * The first that is allowed of: header redirect_to, asked (absent: query redirect_to), Referer; else
 * the site URL. Never an error, never absent.
 */
struct str redirect_target(struct req *req, struct str asked);

#endif
