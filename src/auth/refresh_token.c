/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/refresh_token.h"

#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/err.h"
#include "base/hex.h"
#include "base/rand.h"
#include "base/secret.h"
#include "crypto/hash.h"
#include "crypto/hmac.h"

enum {
    ID_BYTES = 16,
    MAC_BYTES = 16,
    SUM_BYTES = 4,
    KEY_BYTES = 32,
    COUNTER_MAX = 9, /* LEB128 of 63 bits */
    BYTES_MIN = 1 + ID_BYTES + 1 + MAC_BYTES + SUM_BYTES,
    BYTES_MAX = 1 + ID_BYTES + COUNTER_MAX + MAC_BYTES + SUM_BYTES,
    TEXT_MAX = 128,
};

struct str refresh_token_random(struct arena *a)
{
    char *p = arena_alloc(a, REFRESH_TOKEN_LENGTH + 1);
    rand_text(p, REFRESH_TOKEN_LENGTH, S("abcdefghijklmnopqrstuvwxyz234567"));
    return str_of(p, REFRESH_TOKEN_LENGTH);
}

static struct str encoded(struct arena *a, struct str bytes)
{
    struct buf b;
    buf_init_arena(&b, a, TEXT_MAX);
    base64_put_url(&b, bytes);
    return buf_view(&b);
}

struct str refresh_token_key(struct arena *a)
{
    char key[KEY_BYTES];
    rand_bytes(key, sizeof(key));
    struct str text = encoded(a, str_of(key, sizeof(key)));
    secret_wipe_bytes(key, sizeof(key));
    return text;
}

static bool mac_of(struct arena *a, struct str body, struct str key, unsigned char out[32])
{
    struct str bytes = key.n && key.n < TEXT_MAX ? base64_decode_url(a, key) : (struct str){0};
    if (bytes.n != KEY_BYTES)
        return false;
    hmac_sha256(bytes, body, out);
    return true;
}

static void put_counter(struct buf *b, int64_t counter)
{
    uint64_t left = (uint64_t)counter;
    for (; left >= 0x80; left >>= 7)
        buf_char(b, (char)(0x80 | (left & 0x7f)));
    buf_char(b, (char)left);
}

/* The shortest form alone, so that a token has one text. */
static bool take_counter(struct str *rest, int64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < rest->n && i < COUNTER_MAX; i++) {
        unsigned char c = (unsigned char)rest->p[i];
        value |= (uint64_t)(c & 0x7f) << (7 * i);
        if (c & 0x80)
            continue;
        *out = (int64_t)value;
        *rest = str_from_at(*rest, i + 1);
        return c != 0 || i == 0;
    }
    return false;
}

static void put_id(struct buf *b, const struct uuid *id)
{
    char hex[2 * ID_BYTES], bytes[ID_BYTES];
    size_t n = 0;
    for (size_t i = 0; i < 36; i++)
        if (id->text[i] != '-')
            hex[n++] = id->text[i];
    BUG(n != sizeof(hex) || !hex_decode(str_of(hex, n), bytes, ID_BYTES));
    buf_add(b, bytes, ID_BYTES);
}

static bool take_id(struct str *rest, struct uuid *out)
{
    char hex[2 * ID_BYTES + 1], text[37];
    hex_encode(rest->p, ID_BYTES, hex);
    snprintf(text, sizeof(text), "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
             hex + 20);
    *rest = str_from_at(*rest, ID_BYTES);
    return uuid_parse(str_from(text), out);
}

struct str refresh_token_counted(struct arena *a, const struct uuid *session_id, int64_t counter,
                                 struct str key)
{
    unsigned char mac[32], sum[32];
    struct buf b;
    buf_init_arena(&b, a, BYTES_MAX);
    buf_char(&b, 0);
    put_id(&b, session_id);
    put_counter(&b, counter);
    if (!mac_of(a, buf_view(&b), key, mac))
        return (struct str){0};
    buf_add(&b, mac, MAC_BYTES);
    hash_sha256(buf_view(&b), sum);
    buf_add(&b, sum, SUM_BYTES);
    return encoded(a, buf_view(&b));
}

static bool random_form(struct str t)
{
    for (size_t i = 0; i < t.n; i++)
        if (!((t.p[i] >= 'a' && t.p[i] <= 'z') || (t.p[i] >= '0' && t.p[i] <= '9')))
            return false;
    return t.n == REFRESH_TOKEN_LENGTH;
}

bool refresh_token_parse(struct arena *a, struct str text, struct refresh_token *out)
{
    struct refresh_token t = {.counted = text.n > REFRESH_TOKEN_LENGTH};
    if (!t.counted) {
        *out = t;
        return random_form(text);
    }
    struct str bytes = text.n < TEXT_MAX ? base64_decode_url(a, text) : (struct str){0};
    if (bytes.n < BYTES_MIN || bytes.n > BYTES_MAX || bytes.p[0] != 0)
        return false;
    unsigned char sum[32];
    struct str summed = str_of(bytes.p, bytes.n - SUM_BYTES);
    hash_sha256(summed, sum);
    if (memcmp(sum, summed.p + summed.n, SUM_BYTES) != 0)
        return false;
    t.body = str_of(bytes.p, summed.n - MAC_BYTES);
    t.mac = str_of(t.body.p + t.body.n, MAC_BYTES);
    struct str rest = str_from_at(t.body, 1);
    if (!take_id(&rest, &t.session_id) || !take_counter(&rest, &t.counter) || rest.n)
        return false;
    *out = t;
    return true;
}

bool refresh_token_genuine(struct arena *a, const struct refresh_token *t, struct str key)
{
    unsigned char mac[32];
    return mac_of(a, t->body, key, mac) && secret_eq(t->mac, str_of((const char *)mac, MAC_BYTES));
}
