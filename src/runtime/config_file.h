/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The syntax of basalt.conf, from bytes alone: one `name = value` a line, `#` comments (at the
 * beginning of a line or after a space), names of [a-z0-9_]. A value is taken as it stands, or in
 * "…" (with \" \\ \n \t) or '…' (nothing is special) when it has spaces at its ends or ` #`. Lines
 * may end in CRLF, the file may begin with a UTF-8 byte order mark. Knows no setting.
 */
#ifndef RUNTIME_CONFIG_FILE_H
#define RUNTIME_CONFIG_FILE_H

#include "base/arena.h"
#include "base/err.h"

struct config_file {
    const char *path; /* for messages */
    struct str rest;
    int line;
};

struct config_file_entry {
    struct str name, value; /* in the file's bytes or, with escapes, in the arena; never absent */
    int line;
};

void config_file_begin(struct config_file *f, const char *path, struct str bytes);
/* The next entry; name.p is NULL at the end. e: status 2, "config", with path and line; never the value. */
MUST_CHECK bool config_file_next(struct config_file *f, struct arena *a,
                                 struct config_file_entry *out, struct err *e);

#endif
