/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: one row a command, one file a command. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "app/settings.h"

/* args: what is left after the command's name and the settings' flags; n of them. Returns the exit status. */
typedef int command_fn(struct settings *s, const char **args, int n);

struct command {
    const char *name;
    const char *usage;   /* "status [-o env|json]" */
    const char *summary; /* one line */
    const char *help;    /* more, with examples */
    const char *flags;   /* its own, beside the settings: "--dry-run --role=", "=" when a word follows */
    command_fn *run;
};

extern const struct command command_list[];
extern const unsigned command_count;

command_fn serve_command, stop_command, status_command, migrate_command, doctor_command,
    key_command, emergency_command, user_command, mail_command, psql_command, audit_command;

/* Prints "basalt: message" and what the log would know, gives the exit status (2 for usage, 3 not running, else 1). */
int command_fail(const struct err *e);
/* "basalt: …" for a wrong call, and where help is. Status 2. */
int command_misused(const char *command, const char *why);

#endif
