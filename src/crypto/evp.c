/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/evp.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>

static pthread_once_t evp_once = PTHREAD_ONCE_INIT;
static pthread_key_t evp_key;
static EVP_MD *evp_md_sha1, *evp_md_sha224, *evp_md_sha256, *evp_md_sha512;

static _Thread_local EVP_MD_CTX *scratch;

static void scratch_free(void *ctx)
{
    EVP_MD_CTX_free(ctx);
    scratch = NULL;
}

static void evp_start(void)
{
    evp_md_sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
    evp_md_sha224 = EVP_MD_fetch(NULL, "SHA224", NULL);
    evp_md_sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    evp_md_sha512 = EVP_MD_fetch(NULL, "SHA512", NULL);
    BUG(!evp_md_sha1 || !evp_md_sha224 || !evp_md_sha256
        || !evp_md_sha512); /* no default provider: a broken system */
    BUG(pthread_key_create(&evp_key, scratch_free) != 0);
}

const EVP_MD *evp_sha1(void)
{
    pthread_once(&evp_once, evp_start);
    return evp_md_sha1;
}

const EVP_MD *evp_sha224(void)
{
    pthread_once(&evp_once, evp_start);
    return evp_md_sha224;
}

const EVP_MD *evp_sha256(void)
{
    pthread_once(&evp_once, evp_start);
    return evp_md_sha256;
}

const EVP_MD *evp_sha512(void)
{
    pthread_once(&evp_once, evp_start);
    return evp_md_sha512;
}

EVP_MD_CTX *evp_scratch(void)
{
    if (scratch)
        return scratch;
    pthread_once(&evp_once, evp_start);
    scratch = EVP_MD_CTX_new();
    BUG(!scratch);
    pthread_setspecific(evp_key, scratch);
    return scratch;
}

bool evp_fail(struct err *e, int status, const char *code, const char *message)
{
    unsigned long first = ERR_get_error();
    err_set(e, status, code, "%s", message);
    if (first) {
        char text[200];
        ERR_error_string_n(first, text, sizeof(text));
        err_detail(e, "%s", text);
    }
    ERR_clear_error();
    return false;
}
