/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to pg/: cuts an SQL script into its statements, as psql does (PostgreSQL's psqlscan.l):
 * strings, E'' strings, quoted identifiers, dollar quotes, nested comments, parentheses and the
 * bodies of BEGIN ATOMIC routines hold semicolons that end nothing. Knows bytes only; what it does
 * not understand stays in one piece, which the server then takes as several statements.
 */
#ifndef PG_SQL_SPLIT_H
#define PG_SQL_SPLIT_H

#include "base/str.h"

struct sql_split {
    struct str script;
    size_t at;
};

/*
 * The next statement, without blanks and comments before it and without its semicolon; it points
 * into the script. False at the end. Empty statements are passed over.
 */
bool sql_split_next(struct sql_split *s, struct str *statement);
/* The statement's n-th word (0-based) when it is a bare one, else the empty string. */
struct str sql_split_word(struct str statement, unsigned n);

#endif
