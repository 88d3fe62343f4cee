/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for fiber stacks, private to runtime/: one mapping each, a guard page at its low end. */
#ifndef RUNTIME_FIBER_STACK_H
#define RUNTIME_FIBER_STACK_H

#include <stddef.h>

#include "runtime/sanitize.h"

/* Usable bytes. Sanitizers' frames are several times as large. */
#if SANITIZE_ADDRESS || SANITIZE_THREAD
enum { FIBER_STACK_BYTES = 1024 * 1024 };
#else
enum { FIBER_STACK_BYTES = 256 * 1024 };
#endif
/* What fiber_stack_trim leaves at the high end: the depth of usual requests. */
enum { FIBER_STACK_KEEP_BYTES = 32 * 1024 };

/* The lowest usable byte; NULL when the kernel has no more (memory or vm.max_map_count). */
void *fiber_stack_map(void);
void fiber_stack_unmap(void *bottom);
/* Gives pages below the last FIBER_STACK_KEEP_BYTES back to the kernel. */
void fiber_stack_trim(void *bottom);

#endif
