/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings from a table: flag over environment over file over default. One row gives the struct
 * member, the parser, the bounds, the default, the aliases and the manual's line. Toolbox: knows
 * no setting itself (the table is app/config.def).
 */
#ifndef RUNTIME_CONFIG_H
#define RUNTIME_CONFIG_H

#include "base/arena.h"
#include "base/err.h"

enum config_type {
    CONFIG_STR,      /* const char *; NULL when empty */
    CONFIG_SECRET,   /* const char *; never printed; NAME_FILE names a file to read it from */
    CONFIG_BOOL,     /* bool */
    CONFIG_INT,      /* int64_t, in [min, max] */
    CONFIG_DURATION, /* int64_t microseconds, in [min, max] */
    CONFIG_SIZE,     /* int64_t bytes, in [min, max] */
    CONFIG_CHOICE,   /* const char *, one of the words in choices ("on off") */
    CONFIG_LIST,     /* const char *, comma separated, kept as text */
};

struct config_row {
    const char *name; /* "listen": flag --listen, file key listen, environment BASALT_LISTEN */
    enum config_type type;
    size_t offset;
    const char *fallback; /* text of the default, parsed like any other; NULL: none */
    int64_t min, max;     /* max 0: no upper bound */
    const char *choices;
    const char *aliases; /* environment names that mean the same: "DATABASE_URL GOTRUE_…" */
    const char *group;   /* heading in the manual */
    const char *help;    /* one sentence, with the unit */
};

struct config_table {
    const struct config_row *rows;
    size_t count;
    const char *env_prefix; /* "BASALT_" */
};

/* Where each value came from, for doctor and --help: parallel to rows. */
enum config_source { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENV, CONFIG_ALIAS, CONFIG_FLAG };

struct config_input {
    int argc;         /* "--name value", "--name=value", "--flag" and "--no-flag" for booleans */
    char **argv;      /* what follows the program's name (and the command) */
    char **env;       /* environ */
    const char *file; /* basalt.conf path or NULL; missing is fine unless file_required */
    bool file_required;
    struct str file_bytes; /* p set: the file's contents, and file is only its name in messages */
};

/*
 * Fills *out (strings in the arena, which lives as long as the settings); untouched on failure.
 * What is left of argv after flags goes to rest (room for argc; count in *rest_n): words, "-x",
 * --help, and all that follows "--". In flags "-" and "_" are the same. sources may be NULL.
 *
 * A flag given twice: the last one counts. An empty environment variable counts as not given; "="
 * with nothing behind it in a flag or the file takes a text back to none. A duration without a unit is in
 * seconds, as GoTrue's are. A secret's NAME_FILE (also an alias's) names a file with its value; line ends
 * at its end are not part of it. The environment is not looked at for a setting that a flag gives.
 *
 * Errors (status 2, code "config"): an unknown flag, file key or BASALT_ name, with a suggestion
 * ("unknown setting \"lsten\"; did you mean \"listen\"?"); a value out of bounds or of the wrong type, saying
 * where it came from (file and line, environment, flag) and what is accepted; the same setting given under
 * two environment names with different values, or twice in the file. No message holds a secret.
 */
MUST_CHECK bool config_load(const struct config_table *t, const struct config_input *in, void *out,
                            enum config_source *sources, struct arena *a, const char **rest,
                            int *rest_n, struct err *e);
/* The manual: every row by group with default and aliases, for --help and docs (markdown when md). */
void config_print_help(const struct config_table *t, bool md);
/* The value as text for display: "(secret)" for secrets that are set. */
struct str config_show(const struct config_row *row, const void *settings, struct arena *a);

#endif
