/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line of the journal, as text that tools can read too:
 *
 *     LENGTH SEQUENCE HASH RECORD\n
 *
 * LENGTH (8 digits) and SEQUENCE (16) are lower-case hex, RECORD is JSON of LENGTH bytes without a
 * line end, and HASH is the SHA-256 of the former line's HASH, "LENGTH SEQUENCE " and RECORD: a
 * chain in which no byte can change and no line can go unseen. A file begins with a line about
 * itself, whose record tells the hash that it follows. No I/O here, so that it can be fuzzed.
 */
#ifndef AUDIT_JOURNAL_LINE_H
#define AUDIT_JOURNAL_LINE_H

#include "base/buf.h"

enum {
    JOURNAL_RECORD_MAX = 12288, /* bytes */
    JOURNAL_LINE_HEAD = 8 + 1 + 16 + 1 + 64 + 1,
    JOURNAL_LINE_MAX = JOURNAL_LINE_HEAD + JOURNAL_RECORD_MAX + 1,
};

/* SHA-256 as hex, NUL-terminated. */
struct journal_hash {
    char hex[65];
};

struct journal_line {
    uint64_t sequence;
    struct journal_hash hash;
    struct str record; /* in the bytes that were read */
    size_t size;       /* of the whole line */
};

enum journal_shape {
    JOURNAL_SHAPE_LINE,
    JOURNAL_SHAPE_CUT, /* these bytes may be the begin of a line, or are none */
    JOURNAL_SHAPE_BAD, /* whatever follows, this is no line */
};

/*
 * A copy of an event that was written with its change: the journal has it so that a row that goes
 * missing is found, and the shipper passes it over. It has the number of the event before it.
 */
#define JOURNAL_LINE_COPY "{\"kept\":\"transaction\","
static inline bool journal_line_is_copy(struct str record)
{
    return str_starts(record, S(JOURNAL_LINE_COPY));
}

/* Appends the line and moves *hash on from the former line's to its own. */
void journal_line_put(struct buf *b, uint64_t sequence, struct str record,
                      struct journal_hash *hash);
/* The first line of bytes; its hash is not compared yet. */
enum journal_shape journal_line_read(struct str bytes, struct journal_line *out);
/* Whether the line's hash is right after that one. */
bool journal_line_follows(const struct journal_line *line, const struct journal_hash *before);

#endif
