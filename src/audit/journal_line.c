/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/journal_line.h"

#include "base/err.h"
#include "base/hex.h"
#include "crypto/hash.h"

enum { LENGTH = 8, SEQUENCE = 16, HASH = 64, PREFIX = LENGTH + 1 + SEQUENCE + 1 };

static void put_number(char *out, size_t digits, uint64_t v)
{
    for (size_t i = digits; i-- > 0; v >>= 4)
        out[i] = "0123456789abcdef"[v & 15];
}

/* Only what put_number writes: one number has one spelling. */
static bool read_number(const char *p, size_t digits, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < digits; i++) {
        char c = p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *out = v;
    return true;
}

static void hash_of(const struct journal_hash *before, const char prefix[PREFIX], struct str record,
                    struct journal_hash *out)
{
    char head[HASH + PREFIX];
    unsigned char digest[32];
    memcpy(head, before->hex, HASH);
    memcpy(head + HASH, prefix, PREFIX);
    hash_sha256_2(str_of(head, sizeof(head)), record, digest);
    hex_encode(digest, sizeof(digest), out->hex);
}

void journal_line_put(struct buf *b, uint64_t sequence, struct str record,
                      struct journal_hash *hash)
{
    char head[JOURNAL_LINE_HEAD];
    BUG(record.n == 0 || record.n > JOURNAL_RECORD_MAX || memchr(record.p, '\n', record.n));
    put_number(head, LENGTH, record.n);
    head[LENGTH] = ' ';
    put_number(head + LENGTH + 1, SEQUENCE, sequence);
    head[PREFIX - 1] = ' ';
    hash_of(hash, head, record, hash);
    memcpy(head + PREFIX, hash->hex, HASH);
    head[JOURNAL_LINE_HEAD - 1] = ' ';
    buf_add(b, head, sizeof(head));
    buf_str(b, record);
    buf_char(b, '\n');
}

/* The head's shape, as far as there are bytes of it. */
static bool head_like(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool space = i == LENGTH || i == PREFIX - 1 || i == JOURNAL_LINE_HEAD - 1;
        bool digit = (p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f');
        if (space ? p[i] != ' ' : !digit)
            return false;
    }
    return true;
}

enum journal_shape journal_line_read(struct str bytes, struct journal_line *out)
{
    uint64_t length, sequence;
    size_t have = bytes.n < JOURNAL_LINE_HEAD ? bytes.n : JOURNAL_LINE_HEAD;
    if (have > 0 && !head_like(bytes.p, have))
        return JOURNAL_SHAPE_BAD;
    if (have < JOURNAL_LINE_HEAD)
        return JOURNAL_SHAPE_CUT;
    if (!read_number(bytes.p, LENGTH, &length)
        || !read_number(bytes.p + LENGTH + 1, SEQUENCE, &sequence) || length == 0
        || length > JOURNAL_RECORD_MAX)
        return JOURNAL_SHAPE_BAD;
    struct str rest = str_from_at(bytes, JOURNAL_LINE_HEAD);
    struct str record = str_of(rest.p, rest.n < length ? rest.n : (size_t)length);
    if (memchr(record.p, '\n', record.n))
        return JOURNAL_SHAPE_BAD;
    if (rest.n <= length)
        return JOURNAL_SHAPE_CUT;
    if (rest.p[length] != '\n')
        return JOURNAL_SHAPE_BAD;
    *out = (struct journal_line){
        .sequence = sequence, .record = record, .size = JOURNAL_LINE_HEAD + (size_t)length + 1};
    memcpy(out->hash.hex, bytes.p + PREFIX, HASH);
    return JOURNAL_SHAPE_LINE;
}

bool journal_line_follows(const struct journal_line *line, const struct journal_hash *before)
{
    char prefix[PREFIX];
    struct journal_hash right;
    put_number(prefix, LENGTH, line->record.n);
    prefix[LENGTH] = ' ';
    put_number(prefix + LENGTH + 1, SEQUENCE, line->sequence);
    prefix[PREFIX - 1] = ' ';
    hash_of(before, prefix, line->record, &right);
    return memcmp(right.hex, line->hash.hex, HASH) == 0;
}
