/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Password hashes as Firebase Authentication exports them, in GoTrue's spelling: verified, never made.
 *   $fbscrypt$v=1,n=14,r=8,p=1,ss=<salt separator>,sk=<signer key>$<salt>$<hash>
 * scrypt(password, salt + separator, 2^n, r, p) is the AES-256 key that, in counter mode from zero,
 * turns the project's signer key into the hash (github.com/firebase/scrypt). CPU work: see password.h.
 */
#ifndef CRYPTO_FIREBASE_H
#define CRYPTO_FIREBASE_H

#include "base/err.h"
#include "base/str.h"

/* Of that form, and cheap enough: at most 64 MiB of memory, p at most 4. */
bool firebase_known(struct str stored);
/* stored is firebase_known. False: 500 "password_hash". */
MUST_CHECK bool firebase_verify(struct str password, struct str stored, bool *ok, struct err *e);

#endif
