/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks the journal's files, NNNNNNNN.journal in one folder, in order, while the writer may append to
 * the last. Blocking: for start-up, the shipper's thread and the command line.
 */
#ifndef AUDIT_JOURNAL_READER_H
#define AUDIT_JOURNAL_READER_H

#include "audit/journal_line.h"
#include "base/err.h"

enum { JOURNAL_PATH_MAX = 4096 };

/* What a file's first line says of it. */
struct journal_head {
    char node[37];
    uint64_t records;             /* written to the files before it */
    struct journal_hash previous; /* the last line's of the file before it */
};

struct journal_reader {
    const char *dir;
    uint64_t file; /* number of the open one, 0: none yet */
    int fd;
    struct buf window;
    size_t at;      /* the next line in window */
    int64_t offset; /* in the file, of the next line */
    bool headed;    /* the file's first line was read */
    struct journal_head head;
    struct journal_hash last; /* of the last line that had a line's shape, "" before the first */
};

enum journal_found {
    JOURNAL_FOUND_LINE,
    JOURNAL_FOUND_HEAD, /* a file's first line; reader->head says what it holds */
    JOURNAL_FOUND_BAD,  /* something that is no line, or does not follow its former: passed over */
    JOURNAL_FOUND_END,  /* nothing more in this file, for now; what is left is no whole line */
};

/* Begins before the first file that is at least `from`. dir is kept. */
void journal_reader_open(struct journal_reader *r, const char *dir, uint64_t from);
void journal_reader_close(struct journal_reader *r);
/*
 * The next line; its record is valid until the next call. BAD: out->sequence is of the bad line, 0
 * when it cannot be told, and out->size bytes were passed over. e: reading failed, then END.
 */
enum journal_found journal_reader_next(struct journal_reader *r, struct journal_line *out,
                                       struct err *e);
/* On to the next file; false when there is none yet, or with e. */
bool journal_reader_follow(struct journal_reader *r, struct err *e);
/* Bytes behind the last whole line, after END. */
size_t journal_reader_rest(const struct journal_reader *r);

/* Numbers of the files, ascending, malloc'd. e: the folder cannot be read. */
MUST_CHECK bool journal_reader_files(const char *dir, uint64_t **out, size_t *n, struct err *e);
void journal_reader_path(char out[JOURNAL_PATH_MAX], const char *dir, uint64_t file,
                         const char *ending);

#endif
