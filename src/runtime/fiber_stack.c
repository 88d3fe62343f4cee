/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/fiber_stack.h"

#include <sys/mman.h>
#include <unistd.h>

static size_t guard_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

void *fiber_stack_map(void)
{
    size_t guard = guard_bytes();
    char *p = mmap(NULL, guard + FIBER_STACK_BYTES, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (mprotect(p, guard, PROT_NONE) != 0) {
        munmap(p, guard + FIBER_STACK_BYTES);
        return NULL;
    }
    return p + guard;
}

void fiber_stack_unmap(void *bottom)
{
    size_t guard = guard_bytes();
    munmap((char *)bottom - guard, guard + FIBER_STACK_BYTES);
}

void fiber_stack_trim(void *bottom)
{
    /* not MADV_FREE: its pages count as resident until the kernel is short of memory */
    madvise(bottom, FIBER_STACK_BYTES - FIBER_STACK_KEEP_BYTES, MADV_DONTNEED);
}
