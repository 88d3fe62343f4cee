/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of TLS: a fresh key and a self-signed certificate, written as two PEM files. */
#ifndef HTTP_TEST_CERT_H
#define HTTP_TEST_CERT_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>

#include "base/err.h"

static inline void test_cert_write(const char *cert, const char *key, const char *name)
{
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_NAME *subject = X509_get_subject_name(x);
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, pair);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, subject);
    BUG(X509_sign(x, pair, EVP_sha256()) <= 0);
    FILE *f = fopen(cert, "we");
    BUG(!f || PEM_write_X509(f, x) != 1);
    fclose(f);
    f = fopen(key, "we");
    BUG(!f || PEM_write_PrivateKey(f, pair, NULL, NULL, 0, NULL, NULL) != 1);
    fclose(f);
    X509_free(x);
    EVP_PKEY_free(pair);
}

#endif
