/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data folder of `basalt serve`: made, handed to the user whom the server becomes, and locked.
 * Blocking, for start-up and the CLI. Errors, status 1, are sentences with the mend: "data_folder",
 * "data_folder_in_use".
 */
#ifndef APP_DATA_FOLDER_H
#define APP_DATA_FOLDER_H

#include "runtime/process.h"

/*
 * Whether the folder, or the one that would be made, can be reached and written: by that user when
 * we are root, by ourselves (u unused, may be NULL) otherwise. Makes nothing.
 */
MUST_CHECK bool data_folder_check(const char *dir, const char *user, const struct process_user *u,
                                  struct err *e);
/* Checks, then makes it where it is missing. As root an empty folder of root's becomes the user's. */
MUST_CHECK bool data_folder_make(const char *dir, const char *user, const struct process_user *u,
                                 struct err *e);
/* One server a folder. The lock dies with the process, so a SIGKILL leaves nothing behind. */
MUST_CHECK bool data_folder_lock(const char *dir, int *fd, struct err *e);

#endif
