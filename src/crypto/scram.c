/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/scram.h"

#include <openssl/evp.h>

#include "base/base64.h"
#include "base/rand.h"
#include "base/secret.h"
#include "crypto/evp.h"
#include "crypto/hash.h"
#include "crypto/hmac.h"

enum {
    ITERATIONS = 4096, /* PostgreSQL's own default; our passwords are random, not guessable */
    SALT_BYTES = 16
};

/* RFC 5802 §3: SaltedPassword := Hi(password, salt, i); StoredKey := H(ClientKey). */
static void scram_keys(struct str password, struct str salt, unsigned char stored[32],
                       unsigned char server[32])
{
    unsigned char salted[32], client[32];
    BUG(PKCS5_PBKDF2_HMAC(password.n ? password.p : "", (int)password.n,
                          (const unsigned char *)salt.p, (int)salt.n, ITERATIONS, evp_sha256(),
                          sizeof(salted), salted)
        != 1);
    struct str key = str_of((const char *)salted, sizeof(salted));
    hmac_sha256(key, S("Client Key"), client);
    hmac_sha256(key, S("Server Key"), server);
    hash_sha256(str_of((const char *)client, sizeof(client)), stored);
    secret_wipe_bytes(salted, sizeof(salted));
    secret_wipe_bytes(client, sizeof(client));
}

static void scram_write(struct str password, struct str salt, char out[SCRAM_VERIFIER_MAX])
{
    unsigned char stored[32], server[32];
    scram_keys(password, salt, stored, server);
    struct buf b;
    buf_init(&b, SCRAM_VERIFIER_MAX - 1);
    buf_printf(&b, "SCRAM-SHA-256$%d:", ITERATIONS);
    base64_put(&b, salt);
    buf_char(&b, '$');
    base64_put(&b, str_of((const char *)stored, sizeof(stored)));
    buf_char(&b, ':');
    base64_put(&b, str_of((const char *)server, sizeof(server)));
    BUG(b.failed);
    memcpy(out, b.p, b.n);
    out[b.n] = '\0';
    buf_free(&b);
}

void scram_verifier(struct str password, char out[SCRAM_VERIFIER_MAX])
{
    unsigned char salt[SALT_BYTES];
    rand_bytes(salt, sizeof(salt));
    scram_write(password, str_of((const char *)salt, sizeof(salt)), out);
}
