/* SPDX-License-Identifier: Apache-2.0 */
/* The settings as a struct, from the one table in config.def; and what follows from them. */
#ifndef APP_SETTINGS_H
#define APP_SETTINGS_H

#include "auth/auth.h"
#include "runtime/config.h"

struct settings {
#define SETTING_STR                                                        const char *
#define SETTING_SECRET                                                     const char *
#define SETTING_CHOICE                                                     const char *
#define SETTING_LIST                                                       const char *
#define SETTING_BOOL                                                       bool
#define SETTING_INT                                                        int64_t
#define SETTING_DURATION                                                   int64_t
#define SETTING_SIZE                                                       int64_t
#define X(member, type, fallback, min, max, choices, aliases, group, help) SETTING_##type member;
#include "app/config.def"
#undef X
    struct arena memory; /* owns the strings */
};

extern const struct config_table settings_table;

/*
 * Flags, environment, then basalt.conf in the working folder.
 * What is no flag is left in rest. e: status 2, a sentence with the mend.
 */
MUST_CHECK bool settings_load(int argc, char **argv, struct settings *out, const char **rest,
                              int *rest_n, struct err *e);
void settings_close(struct settings *s);

/* Absolute path of the data folder; made by nobody here. */
const char *settings_data_dir(struct settings *s);
unsigned settings_pool_size(const struct settings *s);
unsigned settings_loops(const struct settings *s);
unsigned settings_hash_threads(const struct settings *s);
/* Mail can be sent: there is a mail server. */
bool settings_mails(const struct settings *s);
struct smtp_server;
/* The mail server; host absent when there is none. e: status 2. */
MUST_CHECK bool settings_smtp(struct settings *s, struct smtp_server *out, struct err *e);
/* The address that mails come from. */
const char *settings_mail_from(struct settings *s, const char *site_url);
bool settings_autoconfirm(const struct settings *s);
enum password_blocklist settings_password_blocklist(const struct settings *s);
/* "http://127.0.0.1:8000" unless api_url says otherwise; port as bound. */
const char *settings_api_url(struct settings *s, int port);
bool settings_listens_on_loopback(const struct settings *s);
const char *settings_cors_origins(struct settings *s, const char *api_url);

#endif
