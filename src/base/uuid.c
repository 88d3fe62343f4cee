/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uuid.h"

#include "base/clock.h"
#include "base/hex.h"
#include "base/rand.h"

enum { COUNTER_MAX = 0xFFF }; /* rand_a, RFC 9562 §6.2 method 1 */

static struct uuid to_text(unsigned char bytes[16], unsigned char version)
{
    struct uuid u;
    char hex[33];
    bytes[6] = (unsigned char)((bytes[6] & 0x0F) | version << 4);
    bytes[8] = (unsigned char)((bytes[8] & 0x3F) | 0x80); /* variant, RFC 9562 §4.1 */
    hex_encode(bytes, 16, hex);
    memcpy(u.text, hex, 8);
    memcpy(u.text + 9, hex + 8, 4);
    memcpy(u.text + 14, hex + 12, 4);
    memcpy(u.text + 19, hex + 16, 4);
    memcpy(u.text + 24, hex + 20, 12);
    u.text[8] = u.text[13] = u.text[18] = u.text[23] = '-';
    u.text[36] = '\0';
    return u;
}

struct uuid uuid_v4(void)
{
    unsigned char bytes[16];
    rand_bytes(bytes, sizeof(bytes));
    return to_text(bytes, 4);
}

struct uuid uuid_v7(void)
{
    /* The last stamp given out by this thread: later calls sort behind it, also when the wall clock
     * goes back or a millisecond's counter runs out (then a millisecond is borrowed). */
    static _Thread_local uint64_t last_ms;
    static _Thread_local unsigned counter;
    unsigned char bytes[16];
    rand_bytes(bytes, sizeof(bytes));

    uint64_t now_ms = (uint64_t)(clock_wall_us() / CLOCK_MS);
    unsigned fresh = ((unsigned)bytes[6] << 8 | bytes[7]) & (COUNTER_MAX >> 1); /* room to count */
    if (now_ms > last_ms) {
        last_ms = now_ms;
        counter = fresh;
    } else if (counter == COUNTER_MAX) {
        last_ms++;
        counter = fresh;
    } else {
        counter++;
    }
    for (int i = 0; i < 6; i++)
        bytes[i] = (unsigned char)(last_ms >> (40 - 8 * i));
    bytes[6] = (unsigned char)(counter >> 8);
    bytes[7] = (unsigned char)counter;
    return to_text(bytes, 7);
}

bool uuid_parse(struct str s, struct uuid *out)
{
    struct uuid u;
    if (s.n != 36)
        return false;
    for (size_t i = 0; i < 36; i++) {
        char c = s.p[i];
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (c >= 'A' && c <= 'F')
            c = (char)(c - 'A' + 'a');
        if (dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        u.text[i] = c;
    }
    u.text[36] = '\0';
    *out = u;
    return true;
}

bool uuid_valid(struct str s)
{
    struct uuid ignored;
    return uuid_parse(s, &ignored);
}
