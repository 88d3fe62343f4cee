/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to pg/: which PostgreSQL programs run the private cluster. Looked for in the setting's
 * folder, then where Debian puts them (/usr/lib/postgresql/N/bin), then where pg_config points,
 * then in PATH: running pg_config costs more than all the rest, so it comes late.
 */
#ifndef PG_CLUSTER_BIN_H
#define PG_CLUSTER_BIN_H

#include "base/arena.h"
#include "base/err.h"

enum { CLUSTER_BIN_OLDEST = 14 };

struct cluster_bin {
    const char *initdb, *postgres; /* absolute, in the arena */
    const char *folder;
    int major; /* 15 */
};

/*
 * major: the version that a data folder needs, 0 for the newest of at least 14. e 500
 * "postgres_missing" names the package to install, "postgres_version" both versions.
 */
MUST_CHECK bool cluster_bin_find(const char *setting, int major, struct arena *a,
                                 struct cluster_bin *out, struct err *e);

#endif
