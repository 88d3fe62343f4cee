/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of refresh tokens (auth.md §2.3). Version 1: 12 random characters, a row each. Version 2
 * names its session and how often that was refreshed, signed by a key of the session's own, so that no
 * row is written for it: base64url(0x00, session id 16, counter as unsigned LEB128, HMAC-SHA-256 of
 * that 16, SHA-256 of all that 4). Private to this folder.
 */
#ifndef AUTH_REFRESH_TOKEN_H
#define AUTH_REFRESH_TOKEN_H

#include "base/arena.h"
#include "base/uuid.h"

enum { REFRESH_TOKEN_LENGTH = 12 }; /* characters of version 1 */

struct refresh_token {
    bool counted; /* version 2; the rest is of that alone */
    struct uuid session_id;
    int64_t counter;
    struct str body, mac;
};

/* Version 1, of GoTrue's alphabet: 60 bits. */
struct str refresh_token_random(struct arena *a);
/* A session's key for version 2, as auth.sessions keeps it. */
struct str refresh_token_key(struct arena *a);
/* Version 2. Absent when key is none. */
struct str refresh_token_counted(struct arena *a, const struct uuid *session_id, int64_t counter, struct str key);
/* False for what has the form of neither version, a wrong checksum included. */
bool refresh_token_parse(struct arena *a, struct str text, struct refresh_token *out);
/* Whether the key signed it; in constant time. */
bool refresh_token_genuine(struct arena *a, const struct refresh_token *t, struct str key);

#endif
