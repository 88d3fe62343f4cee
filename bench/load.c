/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load: HTTP/1.1 requests over many keep-alive connections, from one thread.
 *
 * With --rate R requests are due at fixed times whether or not answers have come (open loop), and a
 * latency counts from when the request was due: a server that stalls cannot hide it by holding the
 * generator up. Without it every connection sends its next request when it has its answer (closed
 * loop), which is how much a server can do. The result is one JSON object on stdout.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

#include "histogram.h"
#include "link.h"
#include "mix.h"

enum {
    EVENTS = 256,
    STATUS_MAX = 600,
    SHOWN_MAX = 5, /* bad answers printed in full */
    GRACE_S = 15,  /* for answers after the last request; more than any deadline of the server */
    SECOND_US = 1000000
};

static struct options {
    struct sockaddr_in to;
    unsigned connections, seed;
    double seconds, warmup_s, rate, timeout_s;
    uint64_t requests; /* 0: as many as the seconds allow */
    bool poisson;
} options = {.connections = 64, .seed = 1, .seconds = 10, .timeout_s = 30};

static struct inputs {
    const char *mix, *clients, *target, *prefix, *sets[MIX_COLUMNS_MAX];
    unsigned set_count;
    bool save, quiet;
} inputs = {.target = "127.0.0.1:8000", .prefix = "n"};

struct tally {
    uint64_t statuses[STATUS_MAX], bad;
    struct histogram latency,
        service;              /* of answers as they should be; service counts from sending */
    struct histogram refused; /* of all other answers, from sending */
};

static struct {
    struct mix mix;
    struct link *links;
    int epoll;
    unsigned *deck, deck_at;
    uint64_t random;
    int64_t begin_us, end_us;
    int64_t measure_us; /* what comes before is not counted */
    unsigned next_link; /* of the next arrival */
    uint64_t due, answered, closed, refused, timeouts, broken, shown, bytes;
    struct histogram late; /* how late the generator itself was, when the connection was free */
    struct tally tallies[MIX_KINDS_MAX];
} run;

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * SECOND_US + t.tv_nsec / 1000;
}

/* ---- which request is next ------------------------------------------------------------------ */

/* xorshift64*: the same seed gives the same load. */
static uint64_t random_next(void)
{
    run.random ^= run.random >> 12;
    run.random ^= run.random << 25;
    run.random ^= run.random >> 27;
    return run.random * 0x2545F4914F6CDD1DULL;
}

static void deck_shuffle(void)
{
    for (unsigned i = run.mix.weight_sum - 1; i > 0; i--) {
        unsigned j = (unsigned)(random_next() % (i + 1)), t = run.deck[i];
        run.deck[i] = run.deck[j];
        run.deck[j] = t;
    }
}

/* Kinds are dealt from a shuffled deck of all weights, so that their shares are exact. */
static void deck_open(void)
{
    run.random = 0x9E3779B97F4A7C15ULL * (options.seed + 1);
    run.deck = calloc(run.mix.weight_sum, sizeof(*run.deck));
    if (!run.deck)
        err(1, "memory");
    unsigned at = 0;
    for (unsigned k = 0; k < run.mix.kind_count; k++)
        for (unsigned i = 0; i < run.mix.kinds[k].weight; i++)
            run.deck[at++] = k;
    deck_shuffle();
}

static unsigned deck_next(void)
{
    if (run.deck_at == run.mix.weight_sum) {
        deck_shuffle();
        run.deck_at = 0;
    }
    return run.deck[run.deck_at++];
}

static double interval_us(void)
{
    double even = SECOND_US / options.rate;
    if (!options.poisson)
        return even;
    double u = (double)(random_next() >> 11) / 9007199254740992.0; /* [0, 1) */
    return -log(1 - u) * even;
}

/* ---- requests and answers ------------------------------------------------------------------- */

static void send_next(struct link *l);

static void say_bad(const struct mix_kind *k, const struct link_answer *a)
{
    if (!inputs.quiet && run.shown++ < SHOWN_MAX)
        fprintf(stderr, "load: [%s] %d %.*s\n", k->name, a->status, (int)(a->n < 300 ? a->n : 300),
                a->body);
}

static void start(struct link *l, struct link_arrival a)
{
    const struct mix_kind *k = &run.mix.kinds[a.kind];
    if (l->fd < 0 && !link_open(l, &options.to, run.epoll)) {
        run.refused++;
        run.tallies[a.kind].bad++;
        return;
    }
    l->now = a;
    l->out_n = mix_render(&run.mix, k, l->client, l->out, LINK_REQUEST_MAX);
    l->sent_us = now_us();
    if (link_send(l, run.epoll))
        return;
    run.closed++;
    run.tallies[a.kind].bad++;
    link_close(l);
}

/* A link serves every connections-th client in turn. */
static void client_advance(struct link *l)
{
    l->client += options.connections;
    if (l->client >= run.mix.client_count)
        l->client %= options.connections;
}

static void answered(struct link *l, const struct link_answer *a)
{
    struct tally *t = &run.tallies[l->now.kind];
    const struct mix_kind *k = &run.mix.kinds[l->now.kind];
    int64_t now = now_us();
    bool good = k->expect ? a->status == k->expect : a->status >= 200 && a->status < 300;
    t->statuses[a->status > 0 && a->status < STATUS_MAX ? a->status : 0]++;
    run.answered++;
    run.bytes += a->head_n + a->n;
    if (good) {
        histogram_record(&t->latency, now - l->now.at_us);
        histogram_record(&t->service, now - l->sent_us);
        mix_keep_from(&run.mix, k, l->client, a->body, a->n);
    } else {
        t->bad++;
        histogram_record(&t->refused, now - l->sent_us);
        say_bad(k, a);
    }
    client_advance(l);
    if (a->close)
        link_close(l);
}

static void lost(struct link *l, uint64_t *why)
{
    bool idle = !l->busy;
    unsigned kind = l->now.kind;
    link_close(l);
    if (idle)
        return; /* an idle connection may be closed; the next request opens another */
    ++*why;
    run.tallies[kind].bad++;
    client_advance(l);
}

static void link_event(struct link *l)
{
    struct link_answer a;
    switch (link_ready(l, run.epoll, &a)) {
    case LINK_NOTHING:
        return;
    case LINK_ANSWER:
        answered(l, &a);
        break;
    case LINK_CLOSED:
        lost(l, &run.closed);
        break;
    case LINK_BAD:
        lost(l, &run.broken);
        break;
    }
    send_next(l);
}

static bool over(int64_t now)
{
    bool warm = run.measure_us == INT64_MAX;
    return now >= run.end_us || (warm && options.requests && run.due >= options.requests);
}

/* What has become due on this link, or in a closed loop the next request. */
static void send_next(struct link *l)
{
    struct link_arrival a;
    if (options.rate > 0) {
        while (!l->busy && link_next(l, &a))
            start(l, a);
        return;
    }
    int64_t now = now_us();
    if (over(now))
        return;
    run.due++;
    start(l, (struct link_arrival){now, deck_next()});
}

static void arrive(int64_t at_us, int64_t now)
{
    struct link *l = &run.links[run.next_link];
    run.next_link = (run.next_link + 1) % options.connections;
    run.due++;
    struct link_arrival a = {at_us, deck_next()};
    if (l->busy) {
        link_wait(l, a);
        return;
    }
    histogram_record(&run.late, now - at_us);
    start(l, a);
}

/* ---- the loop ------------------------------------------------------------------------------- */

static bool quiet(void)
{
    for (unsigned i = 0; i < options.connections; i++)
        if (run.links[i].busy || run.links[i].waiting_n)
            return false;
    return true;
}

static void time_out(int64_t now)
{
    int64_t limit = (int64_t)(options.timeout_s * SECOND_US);
    for (unsigned i = 0; i < options.connections; i++) {
        struct link *l = &run.links[i];
        if (!l->busy || now - l->sent_us < limit)
            continue;
        lost(l, &run.timeouts);
        send_next(l);
    }
}

static void wait_until(int64_t at_us)
{
    struct epoll_event events[EVENTS];
    int64_t left = at_us - now_us();
    if (left < 0)
        left = 0;
    struct timespec t = {left / SECOND_US, left % SECOND_US * 1000};
    int n = epoll_pwait2(run.epoll, events, EVENTS, &t, NULL);
    if (n < 0 && errno != EINTR)
        err(1, "epoll_pwait2");
    for (int i = 0; i < n; i++)
        link_event(events[i].data.ptr);
}

/* The warm-up is over: counting starts anew, and whoever started us may read its meters. */
static void measure(int64_t now)
{
    run.measure_us = INT64_MAX;
    run.begin_us = now;
    run.end_us = now + (int64_t)(options.seconds * SECOND_US);
    run.due = run.answered = run.closed = run.refused = run.timeouts = run.broken = run.bytes = 0;
    memset(run.tallies, 0, sizeof(run.tallies));
    memset(&run.late, 0, sizeof(run.late));
    printf("measuring\n");
    fflush(stdout);
}

static void loop(void)
{
    run.begin_us = now_us();
    run.measure_us = run.begin_us + (int64_t)(options.warmup_s * SECOND_US);
    run.end_us = run.measure_us + (int64_t)(options.seconds * SECOND_US);
    double next = (double)run.begin_us;
    int64_t check = run.begin_us + SECOND_US, now = run.begin_us;
    bool open = options.rate > 0;
    if (now >= run.measure_us) /* before the first request, so that none is forgotten */
        measure(now);
    for (unsigned i = 0; !open && i < options.connections; i++)
        send_next(&run.links[i]);
    while (!over(now) || (!quiet() && now < run.end_us + (int64_t)GRACE_S * SECOND_US)) {
        if (now >= run.measure_us)
            measure(now);
        while (open && !over(now) && (int64_t)next <= now) {
            arrive((int64_t)next, now);
            next += interval_us();
        }
        bool more = open && !over(now) && (int64_t)next < check;
        wait_until(more ? (int64_t)next : check < now + 10000 ? check : now + 10000);
        now = now_us();
        if (now < check)
            continue;
        time_out(now);
        check = now + SECOND_US;
    }
    for (unsigned i = 0; i < options.connections; i++) {
        struct link *l = &run.links[i];
        for (struct link_arrival a; link_next(l, &a); run.timeouts++)
            run.tallies[a.kind].bad++;
        if (l->busy)
            lost(l, &run.timeouts);
    }
}

/* ---- what comes out ------------------------------------------------------------------------- */

static void put_kind(const struct mix_kind *k, const struct tally *t, const char *comma)
{
    printf("%s\"%s\":{\"count\":%llu,\"errors\":%llu,\"statuses\":{", comma, k->name,
           (unsigned long long)t->latency.count, (unsigned long long)t->bad);
    const char *between = "";
    for (int s = 0; s < STATUS_MAX; s++) {
        if (t->statuses[s])
            printf("%s\"%d\":%llu", between, s, (unsigned long long)t->statuses[s]);
        between = t->statuses[s] ? "," : between;
    }
    printf("},\"latency_ms\":");
    histogram_put_json(&t->latency, stdout);
    printf(",\"service_ms\":");
    histogram_put_json(&t->service, stdout);
    printf(",\"refused_ms\":");
    histogram_put_json(&t->refused, stdout);
    putchar('}');
}

static void report(double seconds)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    double cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec)
                 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / SECOND_US;
    uint64_t errors = 0;
    for (unsigned k = 0; k < run.mix.kind_count; k++)
        errors += run.tallies[k].bad;
    printf("{\"seconds\":%.3f,\"due\":%llu,\"answered\":%llu,\"per_s\":%.1f,\"errors\":%llu,"
           "\"closed\":%llu,\"refused\":%llu,\"timeouts\":%llu,\"broken\":%llu,\"bytes\":%llu,"
           "\"connections\":%u,\"clients\":%zu,\"generator_cpu_s\":%.3f,\"generator_late_ms\":",
           seconds, (unsigned long long)run.due, (unsigned long long)run.answered,
           (double)run.answered / seconds, (unsigned long long)errors,
           (unsigned long long)run.closed, (unsigned long long)run.refused,
           (unsigned long long)run.timeouts, (unsigned long long)run.broken,
           (unsigned long long)run.bytes, options.connections, run.mix.client_count, cpu);
    histogram_put_json(&run.late, stdout);
    printf(",\"kinds\":{");
    for (unsigned k = 0; k < run.mix.kind_count; k++)
        put_kind(&run.mix.kinds[k], &run.tallies[k], k ? "," : "");
    printf("}}\n");
}

/* ---- what goes in --------------------------------------------------------------------------- */

static const char usage[] =
    "usage: load --mix FILE --clients FILE [--target IP:PORT] [--connections N] [--seconds S]\n"
    "            [--rate R [--poisson]] [--requests N] [--set NAME=VALUE]... [--prefix TEXT]\n"
    "            [--timeout S] [--seed N] [--warmup S] [--save] [--quiet]\n"
    "Without --rate: closed loop. Prints \"measuring\" when the warm-up is over, then the result.\n"
    "Formats and examples: bench/README.md\n";

static const struct option names[] = {
    {"mix", required_argument, NULL, 'm'},
    {"clients", required_argument, NULL, 'c'},
    {"target", required_argument, NULL, 't'},
    {"connections", required_argument, NULL, 'n'},
    {"seconds", required_argument, NULL, 's'},
    {"rate", required_argument, NULL, 'r'},
    {"poisson", no_argument, NULL, 'p'},
    {"requests", required_argument, NULL, 'q'},
    {"set", required_argument, NULL, 'v'},
    {"prefix", required_argument, NULL, 'x'},
    {"timeout", required_argument, NULL, 'o'},
    {"seed", required_argument, NULL, 'e'},
    {"warmup", required_argument, NULL, 'w'},
    {"save", no_argument, NULL, 'a'},
    {"quiet", no_argument, NULL, 'u'},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static double number(const char *text)
{
    char *end;
    double v = strtod(text, &end);
    if (*end || end == text || v < 0)
        errx(2, "\"%s\" is no number from 0", text);
    return v;
}

static void option_take(int c, char *value)
{
    const struct {
        int c;
        const char **text;
        double *number;
        unsigned *count;
    } rows[] = {
        {'m', &inputs.mix, 0, 0},        {'c', &inputs.clients, 0, 0},
        {'t', &inputs.target, 0, 0},     {'x', &inputs.prefix, 0, 0},
        {'s', 0, &options.seconds, 0},   {'r', 0, &options.rate, 0},
        {'o', 0, &options.timeout_s, 0}, {'n', 0, 0, &options.connections},
        {'e', 0, 0, &options.seed},      {'w', 0, &options.warmup_s, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].c != c)
            continue;
        if (rows[i].text)
            *rows[i].text = value;
        if (rows[i].number)
            *rows[i].number = number(value);
        if (rows[i].count)
            *rows[i].count = (unsigned)number(value);
    }
    if (c == 'q')
        options.requests = (uint64_t)number(value);
    if (c == 'p')
        options.poisson = true;
    if (c == 'a')
        inputs.save = true;
    if (c == 'u')
        inputs.quiet = true;
    if (c == 'v' && inputs.set_count < MIX_COLUMNS_MAX)
        inputs.sets[inputs.set_count++] = value;
}

static void target_take(void)
{
    char ip[64];
    unsigned port;
    options.to.sin_family = AF_INET;
    if (sscanf(inputs.target, "%63[0-9.]:%u", ip, &port) != 2
        || inet_pton(AF_INET, ip, &options.to.sin_addr) != 1 || port > 65535)
        errx(2, "--target takes IP:PORT, not \"%s\"", inputs.target);
    options.to.sin_port = htons((uint16_t)port);
    run.mix.host = inputs.target;
    run.mix.prefix = inputs.prefix;
}

static void read_options(int argc, char **argv)
{
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (c == '?' || c == 'h') {
            fputs(usage, c == 'h' ? stdout : stderr);
            exit(c == 'h' ? 0 : 2);
        }
        option_take(c, optarg);
    }
    if (optind < argc || !inputs.mix || !inputs.clients || options.connections == 0) {
        fputs(usage, stderr);
        exit(2);
    }
    target_take();
}

static void prepare(void)
{
    mix_read_clients(&run.mix, inputs.clients);
    for (unsigned i = 0; i < inputs.set_count; i++)
        mix_set(&run.mix, inputs.sets[i]);
    mix_read_kinds(&run.mix, inputs.mix);
    if (options.connections > run.mix.client_count)
        errx(2, "%u connections but only %zu clients: each client needs its own order",
             options.connections, run.mix.client_count);
    deck_open();
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    run.links = calloc(options.connections, sizeof(*run.links));
    if (!run.links)
        err(1, "memory");
    for (unsigned i = 0; i < options.connections; i++) {
        run.links[i].client = i;
        if (!link_open(&run.links[i], &options.to, run.epoll))
            err(1, "%s", inputs.target);
    }
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    prepare();
    loop();
    int64_t last = now_us();
    if (inputs.save)
        mix_write_clients(&run.mix, inputs.clients, inputs.set_count);
    report((double)((options.requests ? last : run.end_us) - run.begin_us) / SECOND_US);
    return 0;
}
