/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/auth_private.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "guard/context.h"
#include "guard/epoch.h"
#include "guard/idle.h"
#include "ops/metrics.h"
#include "pg/pg_notify.h"

/*
 * Users behind tokens, per loop, keyed by session (or user, for tokens without one). An entry is
 * valid while the epochs of its user and session stand and the listener is heard: another node's
 * logout, ban or change arrives by NOTIFY (architecture §4 "Caches stay true").
 */
struct entry {
    struct list by_use;
    unsigned references; /* the cache's own and one per answer that is being sent; one loop's */
    int64_t moved_us; /* when it last went to the front of by_use */
    size_t bytes;
    char key[37];
    struct epoch user_epoch, session_epoch;
    struct caller caller;
    char text[]; /* of caller: one block, since ten thousand of them shall stay near in the cache */
};

struct caller_cache {
    struct idle idle; /* first: shed() finds the cache by it */
    struct map by_key;
    struct list by_use;
    size_t count;
    size_t bytes; /* at most cache_entries * ENTRY_BYTES */
};

/* Dropped at once when the cache is idle: far below a millisecond. */
enum { SHED = 1000 };

/* Room that an entry is granted on average: clients choose how much metadata a user has. */
enum { ENTRY_BYTES = 4096 };

/* Silence of the listener after which cached users are not believed. */
enum { HEARD_WITHIN_S = 1 };

/* Moving an entry touches its neighbours, which are cold: once in ten seconds is order enough. */
enum { MOVE_EVERY_US = 10 * CLOCK_S };

static bool shed(struct idle *i);

static struct caller_cache *cache_here(struct auth *a)
{
    unsigned i = loop_index();
    BUG(i >= LOOP_MAX);
    if (!a->callers[i]) {
        struct caller_cache *c = calloc(1, sizeof(*c));
        BUG(!c);
        map_init(&c->by_key);
        list_init(&c->by_use);
        c->idle.shed = shed;
        a->callers[i] = c;
    }
    return a->callers[i];
}

static void entry_release(void *owner)
{
    struct entry *t = owner;
    if (--t->references > 0)
        return;
    free(t);
}

static void entry_drop(struct caller_cache *c, struct entry *t)
{
    map_remove(&c->by_key, str_from(t->key));
    list_remove(&t->by_use);
    c->count--;
    c->bytes -= t->bytes;
    entry_release(t);
}

static bool shed(struct idle *i)
{
    struct caller_cache *c = (struct caller_cache *)(void *)i;
    for (unsigned n = 0; n < SHED && !list_empty(&c->by_use); n++)
        entry_drop(c, LIST_ENTRY(c->by_use.prev, struct entry, by_use));
    if (c->count > 0)
        return true;
    map_close(&c->by_key);
    return false;
}

void caller_cache_close(struct auth *a)
{
    for (size_t i = 0; i < LOOP_MAX; i++) {
        struct caller_cache *c = a->callers[i];
        if (!c)
            continue;
        while (!list_empty(&c->by_use))
            entry_drop(c, LIST_ENTRY(c->by_use.next, struct entry, by_use));
        map_close(&c->by_key);
        free(c);
        a->callers[i] = NULL;
    }
}

static struct str key_of(const struct principal *p)
{
    return p->session_id.text[0] ? uuid_str(&p->session_id) : uuid_str(&p->user_id);
}

static bool listener_heard(void)
{
    return loop_now_us() - pg_notify_heard_us() < HEARD_WITHIN_S * CLOCK_S;
}

static struct entry *entry_find(struct caller_cache *c, const struct principal *p, int64_t now_us)
{
    struct entry *t = map_get(&c->by_key, key_of(p));
    if (!t || !listener_heard())
        return NULL;
    const struct user *u = &t->caller.user;
    bool stands = epoch_stands(t->user_epoch) && epoch_stands(t->session_epoch)
                  && str_eq(uuid_str(&u->id), uuid_str(&p->user_id)) && u->banned_until_us <= now_us;
    if (!stands) {
        entry_drop(c, t);
        return NULL;
    }
    if (now_us - t->moved_us >= MOVE_EVERY_US) {
        list_remove(&t->by_use);
        list_push_front(&c->by_use, &t->by_use);
        t->moved_us = now_us;
    }
    return t;
}

struct snapshot {
    struct epoch user, session;
};

/* The user and whether the session lives, in one flush. */
static bool load(struct req *req, struct caller *out, struct err *e)
{
    const struct principal *p = req->principal;
    CLEANUP(pg_tx_end) struct pg_tx tx = {0};
    if (!pg_tx_single(&tx, req->pg, PG_LOGIN_AUTH, e))
        return false;
    pg_tx_add(&tx, &user_by_id_sql, PG_ARGS(uuid_str(&p->user_id)));
    if (p->session_id.text[0])
        pg_tx_add(&tx, &session_find_sql, PG_ARGS(uuid_str(&p->session_id), uuid_str(&p->user_id)));
    if (!pg_tx_commit(&tx, e))
        return false;
    if (pg_row_count(pg_tx_result(&tx, 0)) == 0)
        return err_set(e, 403, "user_not_found", "User from sub claim in JWT does not exist");
    if (p->session_id.text[0] && pg_row_count(pg_tx_result(&tx, 1)) == 0)
        return err_set(e, 403, "session_not_found", "Session from session_id claim in JWT does not exist");
    if (p->session_id.text[0] && context_binds_sessions(req->services->context)) {
        out->session_ip = arena_str(req->arena, pg_row_str(pg_tx_result(&tx, 1), 0, SESSION_FIND_IP));
        out->session_agent = arena_str(req->arena, pg_row_str(pg_tx_result(&tx, 1), 0, SESSION_FIND_USER_AGENT));
    }
    return user_from_row(pg_tx_result(&tx, 0), 0, req->arena, &out->user, e);
}

static bool json_of(const struct user *u, struct arena *a, struct caller *out, struct err *e)
{
    struct buf b;
    buf_init_arena(&b, a, SIZE_MAX);
    user_put_json(&b, u);
    out->json = buf_view(&b);
    return !b.failed || err_set(e, 413, "request_entity_too_large", "user is too large");
}

static size_t entry_bytes(const struct caller *c)
{
    const struct user *u = &c->user;
    return sizeof(struct entry) + c->json.n + c->session_ip.n + c->session_agent.n + u->aud.n + u->role.n + u->email.n + u->phone.n
           + u->app_metadata.n + u->user_metadata.n;
}

static struct str packed(char **at, struct str s)
{
    if (!s.p)
        return s;
    char *p = *at;
    if (s.n)
        memcpy(p, s.p, s.n);
    *at += s.n;
    return str_of(p, s.n);
}

static void pack(struct entry *t, const struct caller *c)
{
    const struct user *u = &c->user;
    char *at = t->text;
    t->caller = (struct caller){.user = *u, .json = packed(&at, c->json), .cached = t};
    t->caller.session_ip = packed(&at, c->session_ip);
    t->caller.session_agent = packed(&at, c->session_agent);
    struct user *own = &t->caller.user;
    own->password = own->identities = own->factors = own->email_change = own->phone_change = (struct str){0};
    own->aud = packed(&at, u->aud);
    own->role = packed(&at, u->role);
    own->email = packed(&at, u->email);
    own->phone = packed(&at, u->phone);
    own->app_metadata = packed(&at, u->app_metadata);
    own->user_metadata = packed(&at, u->user_metadata);
}

static void make_room(struct caller_cache *c, size_t max, size_t bytes)
{
    while (c->count > 0 && (c->count >= max || c->bytes + bytes > max * ENTRY_BYTES)) {
        entry_drop(c, LIST_ENTRY(c->by_use.prev, struct entry, by_use));
        metrics_add(METRIC_user_cache_evictions, 0, 1);
    }
}

static void keep(struct caller_cache *c, struct req *req, const struct snapshot *s, const struct caller *caller)
{
    size_t max = auth_config_of(req)->cache_entries;
    if (max == 0 || !listener_heard())
        return;
    struct entry *old = map_get(&c->by_key, key_of(req->principal));
    if (old)
        entry_drop(c, old);
    size_t bytes = entry_bytes(caller);
    make_room(c, max, bytes);
    struct entry *t = malloc(bytes);
    if (!t)
        return;
    *t = (struct entry){.references = 1,
                        .moved_us = req->now_us,
                        .bytes = bytes,
                        .user_epoch = s->user,
                        .session_epoch = s->session};
    struct str key = key_of(req->principal);
    memcpy(t->key, key.p, key.n);
    pack(t, caller);
    list_push_front(&c->by_use, &t->by_use);
    map_put(&c->by_key, str_from(t->key), t);
    c->count++;
    c->bytes += bytes;
}

bool caller_check(struct req *req, struct err *e)
{
    struct principal *p = req->principal;
    struct caller_cache *cache = cache_here(auth_of(req));
    idle_look(&cache->idle);
    struct entry *t = entry_find(cache, p, req->now_us);
    metrics_add(t ? METRIC_user_cache_hits : METRIC_user_cache_misses, 0, 1);
    if (t) {
        t->references++; /* until the answer is sent: another request may drop the entry meanwhile */
        req->caller = &t->caller;
        return true;
    }
    struct snapshot s = {epoch_of(uuid_str(&p->user_id)), epoch_of(key_of(p))};
    struct caller *c = arena_new(req->arena, struct caller, 1);
    if (!load(req, c, e))
        return false;
    if (c->user.deleted_us)
        return err_set(e, 403, "user_not_found", "User from sub claim in JWT does not exist");
    if (c->user.banned_until_us > req->now_us)
        return err_set(e, 403, "user_banned", "User is banned");
    if (!json_of(&c->user, req->arena, c, e))
        return false;
    keep(cache, req, &s, c);
    req->caller = c;
    return true;
}

bool caller_check_service(struct req *req, struct err *e)
{
    const struct principal *p = req->principal;
    if (!p->session_id.text[0])
        return true;
    bool lives = p->user_id.text[0] && caller_check(req, e);
    if (!lives && (e->status == 0 || e->status == 403) && (!e->code || strcmp(e->code, "user_banned") != 0))
        return err_set(e, 403, "session_expired", "Session has expired or was ended");
    return lives;
}

const struct caller *caller_of(const struct req *req)
{
    BUG(!req->caller);
    return req->caller;
}

void caller_release(struct req *req)
{
    if (req->caller && req->caller->cached)
        entry_release(req->caller->cached);
    req->caller = NULL;
}

void caller_send(struct req *req, struct resp *resp)
{
    struct caller *c = req->caller;
    if (!c->cached) {
        resp_text(resp, 200, S("application/json"), c->json);
        return;
    }
    resp_empty(resp, 200);
    resp_header(resp, "Content-Type", S("application/json"));
    resp->body_shared = c->json; /* stays while req->caller holds its reference (caller_release, after sending) */
}

void caller_forget(struct str id)
{
    epoch_bump(id);
}
