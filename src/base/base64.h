/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 and base64url (RFC 4648 §4, §5). Decoders reject foreign characters and non-zero spare bits. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/buf.h"

void base64_put(struct buf *b, struct str bytes);     /* padded */
void base64_put_url(struct buf *b, struct str bytes); /* not padded */
/* .p is NULL when s is not base64 (padding required) / base64url (padding refused). */
struct str base64_decode(struct arena *a, struct str s);
struct str base64_decode_url(struct arena *a, struct str s);

#endif
