/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one door to jansson, for json.c alone: jansson's own names (JSON_OBJECT, JSON_TRUE) clash
 * with those of json.h, so the two headers never meet in a file. Everything that a parse allocates
 * is bounded, and wiped before it is freed, since it may hold passwords. Any thread.
 */
#ifndef BASE_JSON_TREE_H
#define BASE_JSON_TREE_H

#include "base/arena.h"
#include "base/err.h"

enum { JSON_TREE_DEPTH = 64 }; /* containers inside each other; what recurses relies on it */

/*
 * Well-formed (RFC 8259), UTF-8, no NUL, no duplicate key at any level, not too deep: else 400
 * "bad_json", or 413 "request_entity_too_large". With `object` nothing but an object will do.
 */
MUST_CHECK bool json_tree_check(struct str text, bool object, struct err *e);
/* Decodes one JSON string, quotes included. False: not one. out->p NULL: over the arena's budget. */
MUST_CHECK bool json_tree_string(struct str text, struct arena *a, struct str *out);

#endif
