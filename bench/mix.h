/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a load is made of: the kinds of requests and their shares (the mix file), the clients that
 * send them (the clients file) and how a request is written out. Both formats: bench/README.md.
 */
#ifndef BENCH_MIX_H
#define BENCH_MIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MIX_KINDS_MAX = 16, MIX_COLUMNS_MAX = 16, MIX_KEEPS_MAX = 4, MIX_SEGMENTS_MAX = 48 };

/* A piece of a request: text, a client's column, or the number that no other request has. */
struct mix_segment {
    enum { MIX_TEXT, MIX_COLUMN, MIX_NUMBER } type;
    const char *text; /* MIX_TEXT */
    size_t n;
    unsigned column; /* MIX_COLUMN */
};

struct mix_template {
    struct mix_segment segments[MIX_SEGMENTS_MAX];
    unsigned count;
};

/* From the answer's JSON member `member` to the client's column: tokens that later requests need. */
struct mix_keep {
    char member[64]; /* "\"refresh_token\":\"" */
    unsigned column;
};

struct mix_kind {
    char name[32];
    unsigned weight;
    int expect; /* status; 0: any of 200 to 299 */
    struct mix_template head, body;
    struct mix_keep keeps[MIX_KEEPS_MAX];
    unsigned keep_count;
};

struct mix_client {
    char *values[MIX_COLUMNS_MAX]; /* each allocated on its own, so that it can be replaced */
};

struct mix {
    struct mix_kind kinds[MIX_KINDS_MAX];
    unsigned kind_count, weight_sum;
    char *columns[MIX_COLUMNS_MAX];
    unsigned column_count;
    struct mix_client *clients;
    size_t client_count;
    const char *host;   /* of the Host header */
    const char *prefix; /* of {n}, so that two runs make different users */
    uint64_t number;    /* the last {n} */
};

/* Ends the program with a sentence when a file is not as it should be. */
void mix_read_clients(struct mix *m, const char *path);
/* Back to its file, without the last `set` columns: what answers have replaced is kept. */
void mix_write_clients(const struct mix *m, const char *path, unsigned set);
/* A column that has the same value for every client: "name=value". */
void mix_set(struct mix *m, const char *assignment);
/* After the clients, whose columns it names. */
void mix_read_kinds(struct mix *m, const char *path);
/* Writes the request of a client; returns its length. Ends the program when it does not fit. */
size_t mix_render(struct mix *m, const struct mix_kind *k, size_t client, char *out, size_t max);
/* Stores what the kind keeps of an answer's body. */
void mix_keep_from(struct mix *m, const struct mix_kind *k, size_t client, const char *body,
                   size_t n);

#endif
