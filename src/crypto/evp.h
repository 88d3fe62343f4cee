/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of crypto/ share of OpenSSL: algorithms fetched once (a fetch costs more than the
 * digest of a token) and one digest context a thread, freed when the thread ends. Nothing in
 * crypto/ parks, so a thread's context is never seen half used. Private to this folder.
 */
#ifndef CRYPTO_EVP_H
#define CRYPTO_EVP_H

#include <openssl/types.h>

#include "base/err.h"

const EVP_MD *evp_sha1(void);
const EVP_MD *evp_sha224(void);
const EVP_MD *evp_sha256(void);
const EVP_MD *evp_sha512(void);
/* The calling thread's scratch context: valid until the next call that uses it. */
EVP_MD_CTX *evp_scratch(void);
/*
 * err_set with OpenSSL's first reason as the detail. Empties the thread's error queue, which must
 * never outlive the call that filled it. Always false.
 */
bool evp_fail(struct err *e, int status, const char *code, const char *message);

#endif
