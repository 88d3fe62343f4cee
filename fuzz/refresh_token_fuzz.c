/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as a refresh token: what is taken for one that counts has one text, and no key has signed it. */
#include "auth/refresh_token.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_of((const char *)data, size), key = S("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
    struct refresh_token t, again;
    CLEANUP(arena_close) struct arena a = {.budget_bytes = 1 << 20};
    if (!refresh_token_parse(&a, text, &t) || !t.counted)
        return 0;
    BUG(t.counter < 0 || refresh_token_genuine(&a, &t, key));
    struct str made = refresh_token_counted(&a, &t.session_id, t.counter, key);
    BUG(!refresh_token_parse(&a, made, &again) || again.counter != t.counter);
    BUG(!str_eq(uuid_str(&again.session_id), uuid_str(&t.session_id)) || !refresh_token_genuine(&a, &again, key));
    return 0;
}
