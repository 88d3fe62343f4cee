/* SPDX-License-Identifier: Apache-2.0 */
#include "app/server_main.h"
#include "cli/command.h"

int serve_command(struct settings *s, const char **args, int n)
{
    (void)args;
    if (n > 0)
        return command_misused("serve", "it takes settings only, no other words");
    return server_main_run(s);
}
