/* SPDX-License-Identifier: Apache-2.0 */
/* Who is calling, as far as signatures say: the API key and the bearer token, verified. Whether the
 * session still lives is auth's to say (auth/caller.c). */
#ifndef GUARD_PRINCIPAL_H
#define GUARD_PRINCIPAL_H

#include "base/uuid.h"

enum principal_key {
    PRINCIPAL_KEY_NONE,    /* no API key was sent, or none is asked for */
    PRINCIPAL_KEY_ANON,    /* anon or sb_publishable_ */
    PRINCIPAL_KEY_SERVICE, /* service_role or sb_secret_ */
};

struct principal {
    enum principal_key key;
    bool has_token;      /* a bearer token that is not an API key was verified */
    bool admin;          /* its role, or the key's, is one of the admin roles */
    struct str role;     /* of the token, else of the key; data until access.c has found it grantable */
    struct str aud;
    struct str claims;   /* JSON text of the token's claims; absent without a token */
    struct str subject;  /* claim sub as sent; absent when missing */
    struct uuid user_id; /* claim sub when it is a UUID, else "" */
    struct uuid session_id; /* claim session_id, "" when absent or nil */
    struct str aal;
    int64_t expires_us;  /* wall */
};

#endif
