/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/limitshare.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/url.h"
#include "ops/breaker.h"
#include "ops/metrics.h"
#include "runtime/fiber.h"
#include "runtime/loop.h"

enum {
    WAIT_US = 5 * CLOCK_MS,      /* a login's patience; a Redis nearby answers in 0.2 ms */
    COMMAND_US = 250 * CLOCK_MS, /* the thread's: then the connection counts as lost */
    CONNECT_US = 500 * CLOCK_MS,
    RETRY_MIN_US = 100 * CLOCK_MS,
    RETRY_MAX_US = 5 * CLOCK_S,
    QUEUE_MAX = 1024, /* what one round trip carries with ease; beyond it nobody would be in time */
    BATCH_MAX = 128,
    WORDS_MAX = 4 + 3 * LIMITSHARE_MAX,
    NUMBER_MAX = 24,
};

/*
 * GCRA over all keys at once. A key holds the time (Redis's clock) at which its bucket is full and
 * lives until then, so that Redis forgets by itself.
 */
static const char script[] =
    "local t = redis.call('TIME')\n"
    "local now = t[1] * 1000000 + t[2]\n"
    "local op, missing, out, ok = ARGV[1], {}, {}, 1\n"
    "for i, key in ipairs(KEYS) do\n"
    "  local every, window = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])\n"
    "  local full = tonumber(redis.call('GET', key) or now)\n"
    "  missing[i] = math.min(window, math.max(0, full - now))\n"
    "  if missing[i] + every > window then ok = 0 end\n"
    "end\n"
    "for i, key in ipairs(KEYS) do\n"
    "  local every, window, m = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1]), missing[i]\n"
    "  if op == 'take' and ok == 1 then m = m + every\n"
    "  elseif op == 'charge' then m = math.min(m + every, window)\n"
    "  elseif op == 'give' then m = math.max(0, m - every)\n"
    "  elseif op == 'forget' then m = 0 end\n"
    "  if m == 0 then redis.call('DEL', key)\n"
    "  elseif m ~= missing[i] then\n"
    "    redis.call('SET', key, string.format('%.0f', now + m), 'PX', math.ceil(m / 1000))\n"
    "  end\n"
    "  out[i] = m\n"
    "end\n"
    "out[#out + 1] = ok\n"
    "return out\n";

struct ask {
    struct list in_queue;
    struct list
        in_all; /* whatever is not freed yet: at the end somebody may have stopped waiting */
    struct limitshare *share;
    struct limitshare_call call;
    struct loop *home;    /* NULL: nobody waits */
    struct fiber *waiter; /* of home; NULL once it has gone */
    bool answered, done;
};

struct address {
    struct arena memory;
    const char *host, *path, *user, *password;
    int port, db;
};

struct limitshare {
    struct address at;
    void (*on_answer)(void *ctx, const struct limitshare_call *);
    void *ctx;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct list queue, all; /* under lock */
    unsigned queued;        /* under lock */
    bool stop;              /* under lock */
    atomic_bool up;
    /* the thread's: */
    redisContext *redis;
    char sha[41];
    int64_t retry_at_us, retry_us;
    bool told_away;
};

/* ---- where -------------------------------------------------------------------------------------- */

static bool number(struct str s, int max, int *out)
{
    int64_t n;
    if (!str_to_i64(s, &n) || n < 0 || n > max)
        return false;
    *out = (int)n;
    return true;
}

static const char *decoded(struct arena *a, struct str s)
{
    struct str plain = url_decode(a, s, false);
    return plain.n ? arena_cstr(a, plain) : NULL;
}

static bool unix_path(struct str url, struct address *at)
{
    struct str path, query;
    bool asks = str_cut(str_from_at(url, 7), '?', &path, &query);
    at->path = path.n && path.p[0] == '/' ? decoded(&at->memory, path) : NULL;
    return at->path
           && (!asks
               || (str_starts(query, S("db=")) && number(str_from_at(query, 3), 1 << 20, &at->db)));
}

static bool tcp_host(struct str url, struct address *at)
{
    struct url_parts u;
    struct str user, password = {0};
    if (!url_parse(url, &u) || !str_is(u.scheme, "redis") || !u.host.n || u.query.n)
        return false;
    at->host = decoded(&at->memory, u.host);
    at->port = u.port < 0 ? 6379 : u.port;
    str_cut(u.userinfo, ':', &user, &password);
    at->user = decoded(&at->memory, user);
    at->password = decoded(&at->memory, password);
    struct str db = str_from_at(u.path, 1);
    return db.n == 0 || number(db, 1 << 20, &at->db);
}

static bool address_read(const char *url, struct address *at, struct err *e)
{
    struct str text = str_from(url);
    *at = (struct address){0};
    arena_init(&at->memory, SIZE_MAX);
    if (str_starts(text, S("unix://")) ? unix_path(text, at) : tcp_host(text, at))
        return true;
    arena_close(&at->memory);
    if (str_starts(text, S("rediss://")))
        return err_set(
            e, 2, "config",
            "redis_url: TLS to Redis is not available: use a private network, or a tunnel");
    return err_set(e, 2, "config",
                   "redis_url must be redis://[user:password@]host[:port][/db] or unix:///path");
}

/* ---- the thread: connection --------------------------------------------------------------------- */

static struct timeval timeval_of(int64_t us)
{
    return (struct timeval){us / CLOCK_S, us % CLOCK_S};
}

static void disconnect(struct limitshare *s)
{
    if (s->redis)
        redisFree(s->redis);
    s->redis = NULL;
    atomic_store(&s->up, false);
}

/* Runs a command of words; its reply when that is no error. */
static redisReply *said(struct limitshare *s, int n, const char **words)
{
    redisReply *reply = redisCommandArgv(s->redis, n, words, NULL);
    if (reply && reply->type != REDIS_REPLY_ERROR)
        return reply;
    if (reply)
        freeReplyObject(reply);
    return NULL;
}

static bool did(struct limitshare *s, int n, const char **words)
{
    redisReply *reply = said(s, n, words);
    if (reply)
        freeReplyObject(reply);
    return reply;
}

static bool introduce(struct limitshare *s)
{
    const struct address *at = &s->at;
    char db[NUMBER_MAX];
    snprintf(db, sizeof(db), "%d", at->db);
    const char *named[] = {"AUTH", at->user, at->password}, *plain[] = {"AUTH", at->password};
    const char *select[] = {"SELECT", db}, *load[] = {"SCRIPT", "LOAD", script};
    if (at->password && !(at->user ? did(s, 3, named) : did(s, 2, plain)))
        return false;
    if (at->db && !did(s, 2, select))
        return false;
    redisReply *sha = said(s, 3, load);
    bool ok = sha && sha->type == REDIS_REPLY_STRING && sha->len == sizeof(s->sha) - 1;
    if (ok)
        memcpy(s->sha, sha->str, sizeof(s->sha));
    if (sha)
        freeReplyObject(sha);
    return ok;
}

static void say_away(struct limitshare *s, const char *why)
{
    if (!s->told_away)
        log_say(LOG_WARN, "limits.redis_away", "limits are counted by each node alone: %s", why);
    s->told_away = true;
}

static void retry_later(struct limitshare *s)
{
    s->retry_at_us = clock_mono_us() + s->retry_us;
    s->retry_us = s->retry_us * 2 < RETRY_MAX_US ? s->retry_us * 2 : RETRY_MAX_US;
}

/* NULL when connected, logged in and the script is loaded; else why not. */
static const char *connect_now(struct limitshare *s)
{
    const struct address *at = &s->at;
    s->redis = at->path ? redisConnectUnixWithTimeout(at->path, timeval_of(CONNECT_US))
                        : redisConnectWithTimeout(at->host, at->port, timeval_of(CONNECT_US));
    if (!s->redis || s->redis->err)
        return s->redis ? s->redis->errstr : "out of memory";
    bool ok = redisSetTimeout(s->redis, timeval_of(CONNECT_US)) == REDIS_OK && introduce(s)
              && redisSetTimeout(s->redis, timeval_of(COMMAND_US)) == REDIS_OK;
    return ok              ? NULL
           : s->redis->err ? s->redis->errstr
                           : "Redis refuses the login, the database or the script";
}

static void try_connect(struct limitshare *s)
{
    const char *why = connect_now(s);
    if (why) {
        say_away(s, why);
        disconnect(s);
        retry_later(s);
        return;
    }
    if (s->told_away)
        log_say(LOG_INFO, "limits.redis_back", "limits are shared through Redis again");
    s->told_away = false;
    s->retry_us = RETRY_MIN_US;
    atomic_store(&s->up, true);
}

bool limitshare_probe(const char *url, struct err *e)
{
    struct limitshare s = {0};
    if (!address_read(url, &s.at, e))
        return false;
    const char *why = connect_now(&s);
    if (why)
        err_set(e, 503, "redis_unavailable", "%s", why);
    disconnect(&s);
    arena_wipe(&s.at.memory);
    arena_close(&s.at.memory);
    return !why;
}

/* ---- the thread: asks ---------------------------------------------------------------------------- */

static void ask_free(struct ask *a)
{
    pthread_mutex_lock(&a->share->lock);
    list_remove(&a->in_all);
    pthread_mutex_unlock(&a->share->lock);
    free(a);
}

/* On the asker's loop. */
static void on_done(void *arg)
{
    struct ask *a = arg;
    a->done = true;
    if (a->waiter)
        fiber_wake(a->waiter);
    else
        ask_free(a);
}

static void finish(struct ask *a)
{
    if (a->answered)
        a->share->on_answer(a->share->ctx, &a->call);
    if (a->home)
        loop_post(a->home, on_done, a);
    else
        ask_free(a);
}

static bool send_ask(struct limitshare *s, const struct ask *a)
{
    const char *words[WORDS_MAX];
    char numbers[1 + 2 * LIMITSHARE_MAX][NUMBER_MAX];
    int n = 0;
    unsigned used = 0;
    snprintf(numbers[used], NUMBER_MAX, "%u", a->call.n);
    words[n++] = "EVALSHA";
    words[n++] = s->sha;
    words[n++] = numbers[used++];
    for (unsigned i = 0; i < a->call.n; i++)
        words[n++] = a->call.buckets[i].key;
    words[n++] = a->call.op;
    for (unsigned i = 0; i < a->call.n; i++) {
        const struct limitshare_bucket *b = &a->call.buckets[i];
        snprintf(numbers[used], NUMBER_MAX, "%lld", (long long)b->every_us);
        words[n++] = numbers[used++];
        snprintf(numbers[used], NUMBER_MAX, "%lld", (long long)b->window_us);
        words[n++] = numbers[used++];
    }
    return redisAppendCommandArgv(s->redis, n, words, NULL) == REDIS_OK;
}

static bool read_answer(const redisReply *reply, struct limitshare_call *call)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != call->n + 1)
        return false;
    for (unsigned i = 0; i <= call->n; i++)
        if (reply->element[i]->type != REDIS_REPLY_INTEGER)
            return false;
    for (unsigned i = 0; i < call->n; i++)
        call->buckets[i].missing_us = reply->element[i]->integer;
    call->allowed = reply->element[call->n]->integer == 1;
    return true;
}

/* False when the connection is of no use any more. */
static bool receive(struct limitshare *s, struct ask *a)
{
    void *reply = NULL;
    if (redisGetReply(s->redis, &reply) != REDIS_OK)
        return false;
    a->answered = read_answer(reply, &a->call);
    freeReplyObject(
        reply); /* an error (NOSCRIPT, LOADING …): connecting anew mends what can be mended */
    return a->answered;
}

static void run_batch(struct limitshare *s, struct ask **batch, unsigned n)
{
    unsigned sent = 0, got = 0;
    int64_t from = clock_mono_us();
    while (s->redis && sent < n && send_ask(s, batch[sent]))
        sent++;
    while (got < sent && receive(s, batch[got]))
        got++;
    if (s->redis && got < n) {
        say_away(s, s->redis->err ? s->redis->errstr : "Redis did not run the script");
        disconnect(s);
        retry_later(s);
    }
    metrics_observe_us(METRIC_limit_share_duration, 0, clock_mono_us() - from);
    for (unsigned i = 0; i < n; i++)
        finish(batch[i]);
}

static unsigned take_batch(struct limitshare *s, struct ask **batch)
{
    unsigned n = 0;
    for (struct list *at; n < BATCH_MAX && (at = list_pop_front(&s->queue)); n++)
        batch[n] = LIST_ENTRY(at, struct ask, in_queue);
    s->queued -= n;
    return n;
}

/* Until there is something to ask, or it is time to connect; under the lock. */
static void wait_for_work(struct limitshare *s)
{
    struct timespec until;
    while (!s->stop && list_empty(&s->queue)) {
        int64_t left_us = s->redis ? RETRY_MAX_US : s->retry_at_us - clock_mono_us();
        if (left_us <= 0)
            return;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += left_us / CLOCK_S;
        until.tv_nsec += left_us % CLOCK_S * 1000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&s->wake, &s->lock, &until);
    }
}

static void *run(void *arg)
{
    struct limitshare *s = arg;
    struct ask *batch[BATCH_MAX];
    prctl(PR_SET_NAME, "limits");
    for (bool stop = false; !stop;) {
        if (!s->redis && clock_mono_us() >= s->retry_at_us)
            try_connect(s);
        pthread_mutex_lock(&s->lock);
        wait_for_work(s);
        stop = s->stop;
        unsigned n = take_batch(s, batch);
        pthread_mutex_unlock(&s->lock);
        if (n > 0)
            run_batch(s, batch, n);
    }
    disconnect(s);
    return NULL;
}

/* ---- asking ---------------------------------------------------------------------------------------- */

static struct ask *submit(struct limitshare *s, const struct limitshare_call *call, bool waits)
{
    struct ask *a = malloc(sizeof(*a));
    if (!a)
        return NULL;
    *a = (struct ask){.share = s, .call = *call};
    if (waits) {
        a->home = loop_current();
        a->waiter = fiber_current();
    }
    pthread_mutex_lock(&s->lock);
    bool room = s->queued < QUEUE_MAX && !s->stop;
    if (room) {
        list_push_back(&s->queue, &a->in_queue);
        list_push_back(&s->all, &a->in_all);
        s->queued++;
        pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    if (!room)
        free(a);
    return room ? a : NULL;
}

static bool answered_in_time(struct ask *a)
{
    int64_t until_us = clock_mono_us() + WAIT_US;
    while (!a->done)
        if (fiber_park(until_us) != FIBER_WOKEN)
            break;
    return a->done && a->answered;
}

bool limitshare_ask(struct limitshare *s, struct limitshare_call *call)
{
    struct breaker *b = breaker_named(BREAKER_redis);
    if (!atomic_load(&s->up) || !fiber_current() || !breaker_allow(b))
        return false;
    struct ask *a = submit(s, call, true);
    bool ok = a && answered_in_time(a);
    if (ok || !fiber_cancelled())
        breaker_report(b, ok);
    metrics_add(METRIC_limit_share_asks, ok ? 0 : 1, 1);
    if (ok)
        *call = a->call;
    if (a && a->done)
        ask_free(a);
    else if (a)
        a->waiter = NULL; /* on_done frees it */
    return ok;
}

void limitshare_tell(struct limitshare *s, const struct limitshare_call *call)
{
    if (atomic_load(&s->up) && breaker_state(breaker_named(BREAKER_redis)) == BREAKER_CLOSED)
        submit(s, call, false);
}

/* ---- opening --------------------------------------------------------------------------------------- */

bool limitshare_open(const char *url, void (*on_answer)(void *ctx, const struct limitshare_call *),
                     void *ctx, struct limitshare **out, struct err *e)
{
    struct address at;
    pthread_condattr_t monotonic;
    if (!address_read(url, &at, e))
        return false;
    struct limitshare *s = calloc(1, sizeof(*s));
    BUG(!s);
    s->at = at;
    s->on_answer = on_answer;
    s->ctx = ctx;
    s->retry_us = RETRY_MIN_US;
    list_init(&s->queue);
    list_init(&s->all);
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    BUG(pthread_create(&s->thread, NULL, run, s) != 0);
    *out = s;
    return true;
}

void limitshare_close(struct limitshare *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    while (!list_empty(&s->all))
        free(LIST_ENTRY(list_pop_front(&s->all), struct ask, in_all));
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->wake);
    arena_wipe(&s->at.memory);
    arena_close(&s->at.memory);
    free(s);
}
