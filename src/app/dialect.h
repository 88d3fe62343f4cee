/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error bodies in the words of each surface: auth (GoTrue, two versions), rest (PostgREST), storage,
 * functions, app clients. One place; handlers only set struct err.
 */
#ifndef APP_DIALECT_H
#define APP_DIALECT_H

#include "base/err.h"
#include "http/req.h"
#include "http/resp.h"

/* Replaces whatever resp holds. */
void dialect_write(const struct req *req, const struct err *e, struct resp *resp);

#endif
