/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The value of one setting: from text by its row's type and bounds, and back. Of config.c alone.
 */
#ifndef RUNTIME_CONFIG_VALUE_H
#define RUNTIME_CONFIG_VALUE_H

#include "runtime/config.h"

/* A value as somebody wrote it; text.p is NULL when nobody did. */
struct config_given {
    struct str text;
    enum config_source source;
    const char *where; /* "flag --listen", "basalt.conf line 3": for messages */
};

/* The same, understood: the member that the row's type uses. */
struct config_value {
    const char *s;
    int64_t i;
    bool b;
};

/* e: status 2, "config": where it came from, what is accepted, and the text unless it is a secret. */
MUST_CHECK bool config_value_parse(const struct config_row *row, const struct config_given *g,
                                   struct arena *a, struct config_value *out, struct err *e);
bool config_value_same(const struct config_value *a, const struct config_value *b);
/* Into the row's member of the settings. */
void config_value_store(const struct config_row *row, const struct config_value *v, void *settings);
/* "a whole number from 1 to 1000" */
struct str config_value_accepted(const struct config_row *row, struct arena *a);
/* A number in the largest unit that it is a multiple of: "10s", "64KiB", "42". */
struct str config_value_show(enum config_type type, int64_t v, struct arena *a);

#endif
