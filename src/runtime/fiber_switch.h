/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Switching stacks: the machine's part of fiber.c, private to runtime/. Assembly for x86-64 and
 * aarch64 (callee-saved registers and the floating point control words: what the ABIs keep across
 * a call), ucontext elsewhere or with -DFIBER_SWITCH_UCONTEXT. Nothing else survives a switch:
 * no signal mask, no thread-local.
 */
#ifndef RUNTIME_FIBER_SWITCH_H
#define RUNTIME_FIBER_SWITCH_H

#include <stddef.h>

#if !defined(FIBER_SWITCH_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#define FIBER_SWITCH_UCONTEXT
#endif
#ifdef FIBER_SWITCH_UCONTEXT
#include <ucontext.h>
#endif

struct fiber_switch {
#ifdef FIBER_SWITCH_UCONTEXT
    ucontext_t context;
    void (*entry)(void *);
    void *arg;
#else
    void *sp;
#endif
};

/* Makes s call entry(arg), which never returns, on the stack [bottom, bottom + size). */
void fiber_switch_init(struct fiber_switch *s, void *bottom, size_t size, void (*entry)(void *),
                       void *arg);
/* Saves where we are in *from and goes on in *to. */
void fiber_switch_swap(struct fiber_switch *from, struct fiber_switch *to);

#endif
