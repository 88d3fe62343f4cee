/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The most common passwords, as the first 64 bits of the SHA-256 of each in lower case, ascending.
 * Some 12,000 of them: another password is taken for one of these once in 10^15. Made by
 * tools/embed_passwords when the program is built.
 */
#ifndef AUTH_PASSWORD_LIST_H
#define AUTH_PASSWORD_LIST_H

#include <stddef.h>
#include <stdint.h>

extern const uint64_t password_list[];
extern const size_t password_list_count;

#endif
