/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to http/: libcurl's multi interface on a loop. Each loop has one multi, made when first
 * needed and kept until the process ends; its sockets and its timer are the loop's own, so a fiber
 * parks while a transfer goes on. A transfer is its owner's heap block and belongs to the fiber that
 * opened it: late or cancelled, the fiber takes it off the multi and frees it at once.
 */
#ifndef HTTP_TRANSFER_H
#define HTTP_TRANSFER_H

#include <curl/curl.h>

#include "base/err.h"
#include "base/str.h"

struct fiber;

/* First member of the owner's struct, which is from calloc. */
struct transfer {
    CURL *easy;
    CURLcode result;
    bool done, running;
    struct fiber *fiber;
    char why[CURL_ERROR_SIZE]; /* libcurl's words; for logs */
};

enum transfer_end {
    TRANSFER_ENDED, /* libcurl has come to an end: see result */
    TRANSFER_LATE,
    TRANSFER_GONE, /* the fiber was cancelled */
    TRANSFER_BUSY, /* TRANSFER_MAX are under way on this loop */
};

enum { TRANSFER_MAX = 512 }; /* a loop; each costs some 60 KiB while it goes on */

/* See client_trust. */
void transfer_trust(const char *ca_file);
/*
 * Sets what every transfer has, also one outside of the loops: no signals, verified TLS, no proxy,
 * CLOEXEC. why: where libcurl puts its words.
 */
void transfer_prepare(CURL *easy, char why[CURL_ERROR_SIZE]);
/* Makes and prepares t->easy. */
MUST_CHECK bool transfer_open(struct transfer *t, struct err *e);
/* From a fiber: parks until the end, at most timeout_us and never beyond the fiber's deadline. */
enum transfer_end transfer_run(struct transfer *t, int64_t timeout_us);
/* Off the multi, if it still is on it, and libcurl's part freed; the block stays the owner's. */
void transfer_close(struct transfer *t);

#endif
