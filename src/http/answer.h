/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes what a handler left in resp: head, framing and body (RFC 9112 §6, RFC 9110 §6.4.1).
 * Private to http/.
 */
#ifndef HTTP_ANSWER_H
#define HTTP_ANSWER_H

#include "http/conn.h"

/*
 * From the request's fiber. keep: the connection is announced to stay. *sent: bytes of the body
 * that were written. False when the client did not take all of it.
 */
MUST_CHECK bool answer_send(struct conn *c, bool keep, uint64_t *sent, struct err *e);

#endif
