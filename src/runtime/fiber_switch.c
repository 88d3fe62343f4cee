/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/fiber_switch.h"

#include <stdint.h>

#ifdef FIBER_SWITCH_UCONTEXT

static void switch_trampoline(unsigned high, unsigned low)
{
    /* makecontext passes ints only */
    struct fiber_switch *s = (void *)(((uintptr_t)high << 16 << 16) | (uintptr_t)low);
    s->entry(s->arg);
    __builtin_trap();
}

void fiber_switch_init(struct fiber_switch *s, void *bottom, size_t size, void (*entry)(void *),
                       void *arg)
{
    if (getcontext(&s->context) != 0)
        __builtin_trap(); /* fails for a bad pointer only */
    s->context.uc_stack.ss_sp = bottom;
    s->context.uc_stack.ss_size = size;
    s->context.uc_link = NULL;
    s->entry = entry;
    s->arg = arg;
    uintptr_t p = (uintptr_t)s;
    makecontext(&s->context, (void (*)(void))(void *)switch_trampoline, 2,
                (unsigned)(p >> 16 >> 16), (unsigned)p);
}

void fiber_switch_swap(struct fiber_switch *from, struct fiber_switch *to)
{
    swapcontext(&from->context, &to->context);
}

#else

/* In the assembly below; the first return of a new context lands here. */
void fiber_switch_begin(void);

#if defined(__x86_64__)

/*
 * Saved frame, from sp upwards: mxcsr and x87 control word, r15 r14 r13 r12 rbx rbp, return
 * address.
 * The frame looks the same on both stacks, so that one set of CFI directives holds before and after
 * the switch. The new context ends a backtrace (undefined rip). No shadow stack is in use
 * (-fcf-protection=branch), so the plain ret is right.
 */
__asm__(".text\n"
        ".globl fiber_switch_swap\n"
        ".type fiber_switch_swap, @function\n"
        ".p2align 4\n"
        "fiber_switch_swap:\n"
        ".cfi_startproc\n"
        "    endbr64\n"
        "    pushq %rbp\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset rbp, 0\n"
        "    pushq %rbx\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset rbx, 0\n"
        "    pushq %r12\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset r12, 0\n"
        "    pushq %r13\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset r13, 0\n"
        "    pushq %r14\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset r14, 0\n"
        "    pushq %r15\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset r15, 0\n"
        "    subq $8, %rsp\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    stmxcsr (%rsp)\n"
        "    fnstcw 4(%rsp)\n"
        "    movq %rsp, (%rdi)\n"
        "    movq (%rsi), %rsp\n"
        "    ldmxcsr (%rsp)\n"
        "    fldcw 4(%rsp)\n"
        "    addq $8, %rsp\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    popq %r15\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore r15\n"
        "    popq %r14\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore r14\n"
        "    popq %r13\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore r13\n"
        "    popq %r12\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore r12\n"
        "    popq %rbx\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore rbx\n"
        "    popq %rbp\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore rbp\n"
        "    ret\n"
        ".cfi_endproc\n"
        ".size fiber_switch_swap, .-fiber_switch_swap\n"
        "\n"
        ".hidden fiber_switch_begin\n"
        ".globl fiber_switch_begin\n"
        ".type fiber_switch_begin, @function\n"
        ".p2align 4\n"
        "    nop\n" /* unwinders look up the return address minus one */
        "fiber_switch_begin:\n"
        ".cfi_startproc\n"
        "    .cfi_undefined rip\n"
        "    endbr64\n"
        "    movq %r13, %rdi\n"
        "    call *%r12\n"
        "    ud2\n"
        ".cfi_endproc\n"
        ".size fiber_switch_begin, .-fiber_switch_begin\n");

enum { SWITCH_WORDS = 8, SWITCH_R13 = 3, SWITCH_R12 = 4, SWITCH_RETURN = 7 };

void fiber_switch_init(struct fiber_switch *s, void *bottom, size_t size, void (*entry)(void *),
                       void *arg)
{
    uintptr_t top = ((uintptr_t)bottom + size) & ~(uintptr_t)15;
    uint64_t *frame = (uint64_t *)(top - SWITCH_WORDS * sizeof(uint64_t));
    for (int i = 0; i < SWITCH_WORDS; i++)
        frame[i] = 0;
    frame[0] = 0x1f80 | (uint64_t)0x037f << 32; /* the ABI's initial mxcsr and x87 control word */
    frame[SWITCH_R13] = (uint64_t)arg;
    frame[SWITCH_R12] = (uint64_t)entry;
    frame[SWITCH_RETURN] = (uint64_t)fiber_switch_begin;
    s->sp = frame;
}

#else /* __aarch64__ */

/*
 * Saved frame, from sp upwards: x19..x28, x29 x30, d8..d15, fpcr. fpcr is written only when it
 * differs, because writing it drains the pipeline. hint #34 is "bti c", a no-op on older machines.
 */
__asm__(".text\n"
        ".globl fiber_switch_swap\n"
        ".type fiber_switch_swap, %function\n"
        ".p2align 4\n"
        "fiber_switch_swap:\n"
        ".cfi_startproc\n"
        "    hint #34\n"
        "    sub sp, sp, #176\n"
        "    .cfi_adjust_cfa_offset 176\n"
        "    stp x19, x20, [sp, #0]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    .cfi_rel_offset x19, 0\n"
        "    .cfi_rel_offset x20, 8\n"
        "    .cfi_rel_offset x21, 16\n"
        "    .cfi_rel_offset x22, 24\n"
        "    .cfi_rel_offset x23, 32\n"
        "    .cfi_rel_offset x24, 40\n"
        "    .cfi_rel_offset x25, 48\n"
        "    .cfi_rel_offset x26, 56\n"
        "    .cfi_rel_offset x27, 64\n"
        "    .cfi_rel_offset x28, 72\n"
        "    .cfi_rel_offset x29, 80\n"
        "    .cfi_rel_offset x30, 88\n"
        "    mrs x9, fpcr\n"
        "    str x9, [sp, #160]\n"
        "    mov x10, sp\n"
        "    str x10, [x0]\n"
        "    ldr x10, [x1]\n"
        "    mov sp, x10\n"
        "    ldr x11, [sp, #160]\n"
        "    cmp x9, x11\n"
        "    b.eq 1f\n"
        "    msr fpcr, x11\n"
        "1:\n"
        "    ldp x19, x20, [sp, #0]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #176\n"
        "    .cfi_adjust_cfa_offset -176\n"
        "    .cfi_restore x19\n"
        "    .cfi_restore x20\n"
        "    .cfi_restore x21\n"
        "    .cfi_restore x22\n"
        "    .cfi_restore x23\n"
        "    .cfi_restore x24\n"
        "    .cfi_restore x25\n"
        "    .cfi_restore x26\n"
        "    .cfi_restore x27\n"
        "    .cfi_restore x28\n"
        "    .cfi_restore x29\n"
        "    .cfi_restore x30\n"
        "    ret\n"
        ".cfi_endproc\n"
        ".size fiber_switch_swap, .-fiber_switch_swap\n"
        "\n"
        ".hidden fiber_switch_begin\n"
        ".globl fiber_switch_begin\n"
        ".type fiber_switch_begin, %function\n"
        ".p2align 4\n"
        "    nop\n"
        "fiber_switch_begin:\n"
        ".cfi_startproc\n"
        "    .cfi_undefined x30\n"
        "    hint #34\n"
        "    mov x0, x20\n"
        "    blr x19\n"
        "    brk #1\n"
        ".cfi_endproc\n"
        ".size fiber_switch_begin, .-fiber_switch_begin\n");

enum { SWITCH_WORDS = 22, SWITCH_X19 = 0, SWITCH_X20 = 1, SWITCH_X30 = 11 };

void fiber_switch_init(struct fiber_switch *s, void *bottom, size_t size, void (*entry)(void *),
                       void *arg)
{
    uintptr_t top = ((uintptr_t)bottom + size) & ~(uintptr_t)15;
    uint64_t *frame = (uint64_t *)(top - SWITCH_WORDS * sizeof(uint64_t));
    for (int i = 0; i < SWITCH_WORDS; i++)
        frame[i] = 0; /* fpcr 0 is the ABI's initial state */
    frame[SWITCH_X19] = (uint64_t)entry;
    frame[SWITCH_X20] = (uint64_t)arg;
    frame[SWITCH_X30] = (uint64_t)fiber_switch_begin;
    s->sp = frame;
}

#endif
#endif
