/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>

#include "app/run_state.h"
#include "cli/command.h"
#include "pg/cluster.h"
#include "runtime/process.h"

/* A server drains for at most 32 s, then stops its cluster (20 s). */
enum { SERVER_MS = 60000, CLUSTER_MS = 20000 };

int stop_command(struct settings *s, const char **args, int n)
{
    (void)args;
    if (n > 0)
        return command_misused("stop", "it takes settings only");
    const char *dir = settings_data_dir(s);
    struct run_state r;
    struct err e = {0};
    int ended; /* its exit status is not ours to know */
    bool was_running = false, server = run_state_read(dir, &s->memory, &r, &e);
    if (!server && e.status != 3)
        return command_fail(&e);
    if (server && (kill(r.pid, SIGTERM) != 0 || !process_wait(r.pid, SERVER_MS, &ended)))
        return fprintf(stderr, "basalt: the server (process %d) does not end\n", (int)r.pid), 1;
    if (!cluster_stop_dir(dir, CLUSTER_MS, &was_running, &e))
        return command_fail(&e);
    printf(server        ? "stopped\n"
           : was_running ? "no server was running; its PostgreSQL was, and is stopped now\n"
                         : "nothing was running\n");
    return 0;
}
