/* SPDX-License-Identifier: Apache-2.0 */
/* Readiness of a descriptor that a library owns (libpq, libcurl), on the current loop. */
#ifndef RUNTIME_FDWATCH_H
#define RUNTIME_FDWATCH_H

struct fdwatch;

enum { FDWATCH_READ = 1, FDWATCH_WRITE = 2 };

/* fn gets the events that are ready (both bits on an error), in a callback. */
struct fdwatch *fdwatch_open(int fd, void (*fn)(void *ctx, int ready), void *ctx);
/* Changes interest; 0 stops watching without closing. Cheap when nothing changes. */
void fdwatch_set(struct fdwatch *w, int events);
/* Must come before the descriptor is closed. No callback afterwards. */
void fdwatch_close(struct fdwatch *w);
/* The same when the library has closed it already: its number may be somebody else's by now. */
void fdwatch_abandon(struct fdwatch *w);
/* For what is left when its loop has ended: nothing is watched any more. */
void fdwatch_free(struct fdwatch *w);

#endif
