/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Password hashes: argon2id (RFC 9106) is made; argon2id, argon2i, bcrypt ($2a$, $2b$, $2y$) and
 * Firebase's scrypt are verified. Pure CPU work of 25-200 ms: call it only on a thread of the hash pool. Each calling
 * thread maps its argon2 memory once; password_release_memory gives it back when the pool is idle.
 */
#ifndef CRYPTO_PASSWORD_H
#define CRYPTO_PASSWORD_H

#include "base/err.h"
#include "base/str.h"

struct password_params {
    unsigned memory_kib; /* 19456 */
    unsigned passes;     /* 2 */
    unsigned lanes;      /* 1 */
};

extern const struct password_params password_default;

enum { PASSWORD_HASH_MAX = 256 }; /* bytes of any stored form, NUL included */

/* PHC string format into out. err 500 when the library refuses. */
MUST_CHECK bool password_hash(struct str password, const struct password_params *params, char out[PASSWORD_HASH_MAX],
                              struct err *e);
/*
 * stored absent or empty: equal work against a fixed dummy hash with the same params, *ok false.
 * *stale is true when stored is right but not made with params (bcrypt, other costs).
 * bcrypt compares the first 72 bytes, as GoTrue does; argon2 the whole password.
 * False (500 "password_hash_unknown") only for a stored form that is none of the known ones.
 */
MUST_CHECK bool password_verify(struct str password, struct str stored, const struct password_params *params, bool *ok,
                                bool *stale, struct err *e);
/*
 * A form that password_verify understands (imports by the admin API): $argon2id$ and $argon2i$ with
 * v=19, m at most 262144 KiB, t at most 16, m times t at most 786432 KiB, p at most 8 (run one after
 * the other), salt of 8 to 64 and hash of 16 to 64 bytes; bcrypt of cost 4 to 14. So no import can
 * take more than 256 MiB or about a second. Firebase's $fbscrypt$ as in firebase.h.
 */
bool password_hash_known(struct str stored);
/* Frees the calling thread's argon2 memory (munmap). */
void password_release_memory(void);

#endif
