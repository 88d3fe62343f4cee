/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as a token (form, header, key), and as the claims of one that is rightly signed. */
#include "base/json.h"
#include "crypto/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct jwt_keys *keys;
    struct str input = str_of((const char *)data, size), claims, none = {0};
    struct jwt_check check = {.now_us = 1700000000000000, .allow_no_exp = true};
    CLEANUP(arena_close) struct arena a = {.budget_bytes = 1 << 20};
    CLEANUP(buf_free) struct buf b = {.max_bytes = 1 << 20};
    struct err e;
    BUG(!keys && !jwt_keys_from_secret(S("0123456789abcdef0123456789abcdef"), none, &keys, &e));
    BUG(jwt_verify(keys, input, &check, &a, &claims, &e)); /* nobody guesses a signature */
    if (jwt_sign(keys, input, &b, &e) && jwt_verify(keys, buf_view(&b), &check, &a, &claims, &e))
        BUG(!str_eq(claims, input) || !json_valid(claims, &e));
    return 0;
}
