/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of the request a connection is answering: decoded from what comes in, with 100 Continue
 * when it is first read and the minimum rate while it is waited for. Private to http/; from the
 * request's fiber.
 */
#ifndef HTTP_INTAKE_H
#define HTTP_INTAKE_H

#include "http/conn.h"

void intake_begin(struct conn_work *w);
/* Next piece, valid until the next call; empty at the end. e as req_body_read. */
MUST_CHECK bool intake_read(struct conn *c, size_t max_bytes, struct str *piece, struct err *e);
/* Whether what was not read can be dropped, so that the connection may be kept. */
bool intake_droppable(struct conn *c);
/* Reads and drops it, after the answer; false when the connection has to close. */
bool intake_drop(struct conn *c);
/* After the body: gives what came behind it back to the connection. */
void intake_end(struct conn *c);

#endif
