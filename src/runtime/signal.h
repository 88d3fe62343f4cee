/* SPDX-License-Identifier: Apache-2.0 */
/* Signals as callbacks on loop 0. SIGPIPE is ignored from loop_create_all on. */
#ifndef RUNTIME_SIGNAL_H
#define RUNTIME_SIGNAL_H

/* fn runs on loop 0 in a callback and replaces the former handler. Before loop_run_all. */
void signal_handle(int signo, void (*fn)(void *ctx), void *ctx);

#endif
