/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes: one row each, in const tables of the features, found through a tree built once. Access is
 * in the row and has no valid zero.
 */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include "base/err.h"
#include "http/method.h"

struct req;
struct resp;

enum route_access {
    ACCESS_UNSET = 0, /* a row without access stops start-up */
    ACCESS_OPEN,      /* no API key, no token (public paths, /api routes before login) */
    ACCESS_KEY,       /* an API key; any or no user */
    ACCESS_USER,    /* API key (where the surface asks) and the bearer token of a living session */
    ACCESS_SERVICE, /* bearer or key whose role is an admin role */
    ACCESS_ADMIN_PORT, /* only on the admin listener */
};

/* Who answers, so which dialect errors are in and which listener serves it. */
enum route_surface {
    SURFACE_NONE,
    SURFACE_AUTH,
    SURFACE_REST,
    SURFACE_STORAGE,
    SURFACE_FUNCTIONS,
    SURFACE_APP,
    SURFACE_ADMIN,
    SURFACE_COUNT
};

/* How often the route may be called; guard/quota.c knows the limits behind each word. */
enum route_limit {
    LIMIT_NONE,
    LIMIT_LOGIN,  /* a password is checked */
    LIMIT_SIGNUP, /* a user is made */
    LIMIT_TOKEN,  /* any grant */
    LIMIT_MAIL,   /* a mail is sent: otp, magiclink, recover, resend, PUT user, invite … */
    LIMIT_VERIFY, /* a code or link is tried */
    LIMIT_READ,
    LIMIT_ADMIN,
    LIMIT_COUNT
};

enum { ROUTE_PARAMS_MAX = 4 };

/* A handler fills resp or sets e. Runs in the request's fiber. */
typedef bool route_handler(struct req *req, struct resp *resp, struct err *e);

struct route {
    enum method method;
    /* "/auth/v1/admin/users/{user_id}"; what ends in "_id" is a UUID; a last "{rest...}" takes the remainder */
    const char *path;
    route_handler *handler;
    enum route_access access;
    enum route_limit limit;
    size_t body_max; /* bytes; 0: no body allowed to matter (up to 64 KiB is read and dropped) */
    unsigned flags;  /* ROUTE_… */
    int64_t deadline_us; /* 0: the setting's request timeout */
};

enum {
    ROUTE_STREAM_BODY = 1,  /* the handler reads the body itself with req_body_read */
    ROUTE_IN_EMERGENCY = 2, /* works whatever is declared: health, the end of sessions */
    ROUTE_CAPTCHA = 4,      /* a human has to be there, where captchas are asked for */
};

struct route_list {
    const struct route *rows;
    size_t count;
};

struct route_table;

/* BUG()s on a row without access, an unknown placeholder or two rows for one method and path. */
struct route_table *route_table_build(const struct route_list *lists, size_t count);
void route_table_free(struct route_table *t);

struct route_match {
    const struct route *route; /* NULL: none */
    bool path_known;           /* another method exists on this path: 405 */
    unsigned methods;          /* bit per enum method that the path has, for Allow and preflight */
    struct str params[ROUTE_PARAMS_MAX]; /* raw segments in order of appearance, not decoded */
};
/* HEAD finds the GET row unless it has its own. A trailing slash is significant. */
void route_find(const struct route_table *t, enum method m, struct str path,
                struct route_match *out);
enum route_surface route_surface_of(struct str path);

#endif
