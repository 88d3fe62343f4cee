/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/signal.h"

#include <signal.h>

#include "runtime/loop_impl.h"

static struct signal_slot {
    uv_signal_t handle;
    void (*fn)(void *ctx);
    void *ctx;
} slots[NSIG];

static void signal_arrived(uv_signal_t *h, int signo)
{
    struct loop *l = h->data;
    loop_enter(l);
    slots[signo].fn(slots[signo].ctx);
}

void signal_handle(int signo, void (*fn)(void *ctx), void *ctx)
{
    BUG(signo < 1 || signo >= NSIG);
    struct signal_slot *s = &slots[signo];
    struct loop *l = loop_at(0);
    s->fn = fn;
    s->ctx = ctx;
    if (s->handle.data == l && uv_is_active((uv_handle_t *)&s->handle))
        return;
    BUG(uv_signal_init(&l->uv, &s->handle) != 0);
    s->handle.data = l;
    BUG(uv_signal_start(&s->handle, signal_arrived, signo) != 0); /* SIGKILL and the like */
}
