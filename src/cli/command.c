/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/command.h"

#include <stdio.h>

/* clang-format off */
const struct command command_list[] = {
    {"serve", "serve [--data DIR] [--listen HOST:PORT] [--database-url URL]", "start the server, and PostgreSQL with it",
     "Starts everything and prints one `ready` line. Without a database URL a private PostgreSQL is\n"
     "made in DIR/pg. SIGTERM finishes what was read and stops; SIGHUP reads certificates again.\n\n"
     "  basalt serve\n"
     "  basalt serve --data /srv/app --listen 0.0.0.0:8000\n"
     "  DATABASE_URL=postgresql://user@db/app basalt serve --migrate\n", NULL, serve_command},
    {"stop", "stop [--data DIR]", "end a server and its PostgreSQL",
     "Also ends the PostgreSQL of a server that was killed.\n\n  basalt stop\n", NULL, stop_command},
    {"status", "status [--data DIR] [-o env|json]", "URLs and keys of the running server",
     "Exit status 3 when no server runs.\n\n"
     "  basalt status\n"
     "  eval \"$(basalt status -o env)\"; echo \"$API_URL\"\n", NULL, status_command},
    {"migrate", "migrate [--database-url URL] [--dry-run]", "apply pending migrations",
     "Ours first, then supabase/migrations/*.sql, each once, in order. Without a URL the running\n"
     "server's database.\n\n"
     "  basalt migrate --dry-run\n"
     "  basalt migrate --database-url postgresql://user@db/app\n", "--dry-run", migrate_command},
    {"doctor", "doctor [--data DIR]", "check the set-up and say how to mend it",
     "One line a finding. Exit status 1 when something needs mending.\n\n  basalt doctor\n", NULL, doctor_command},
    {"key", "key list [-o json] | create ALG | rotate [ALG] | revoke KID | forget KID | renew", "keys that sign tokens, and API keys",
     "Tokens are signed by the JWT secret (HS256) until a key of their own is rotated to: ES256, RS256,\n"
     "EdDSA, HS256, RS512 or ES512. Every node has a change at once, without a restart, and nobody is\n"
     "logged out: a key used before goes on verifying, the anon and service_role keys go on working.\n\n"
     "  basalt key list                API keys, and the signing keys with their states\n"
     "  basalt key create ES256        a standby key: published, does not sign yet\n"
     "  basalt key rotate              the standby key (without one: a new ES256 key) signs from now on\n"
     "  basalt key revoke KID          its tokens end now; refreshing gives their users new ones\n"
     "  basalt key forget KID          drops a standby or revoked key\n"
     "  basalt key renew               new sb_publishable_ and sb_secret_ keys; the former stop working\n\n"
     "Verifiers may keep the published keys for 10 minutes: leave that between create and rotate, and\n"
     "the life of a token (jwt_exp) between rotate and revoke. Where the setting jwt_keys is given, it is\n"
     "used and none of these.\n", NULL, key_command},
    {"emergency", "emergency [off | read-only | locked]", "refuse writes, or everybody, on every node",
     "read-only: nothing is written but the end of sessions. locked: only requests with a secret API\n"
     "key are answered. Refusals are 503; every node hears of it at once and keeps it over restarts.\n\n"
     "  basalt emergency            what is declared\n"
     "  basalt emergency read-only\n  basalt emergency off\n", NULL, emergency_command},
    {"user", "user create|confirm|password|list|delete …", "users without HTTP",
     "  basalt user create EMAIL [--confirmed] [--role ROLE]     password on standard input\n"
     "  basalt user confirm EMAIL\n"
     "  basalt user password EMAIL                               password on standard input\n"
     "  basalt user list [FILTER]\n"
     "  basalt user delete EMAIL\n\n"
     "Every change is one transaction, as over HTTP: a new user has identity and profile at once.\n\n"
     "  printf '%s' \"$PASSWORD\" | basalt user create ada@example.com --confirmed\n", "--confirmed --role=", user_command},
    {"mail", "mail list|show|preview|retry …", "mails that wait, were sent, or failed; templates",
     "  basalt mail list [ADDRESS]                 the newest 100\n"
     "  basalt mail show ID                        one that is not sent yet, with its link and code\n"
     "  basalt mail preview KIND [--with JSON]     a template with invented data\n"
     "  basalt mail retry ID                       send it anew now\n\n"
     "Without an SMTP server mails wait, so `show` is how a link is had while developing. Kinds:\n"
     "confirmation, recovery, magic_link, invite, email_change, reauthentication and the notices,\n"
     "e.g. password_changed_notification.\n\n"
     "  basalt mail preview recovery --mail-templates ./mail --with '{\"Data\":{\"name\":\"Grace\"}}'\n", "--with=", mail_command},
    {"audit", "audit verify [--journal] | tail [N] | export [--csv] [--since WHEN]", "the audit: is it whole, what happened",
     "verify   reads the journal in the data folder and the database's rows: a byte that was changed or\n"
     "         a row that was removed is named, with exit status 1. --journal: without the database\n"
     "tail     the last N events (20), one a line: time, name, outcome, subject, address, detail\n"
     "export   every event as a line of JSON (--json), or as CSV\n\n"
     "--since takes a duration (24h, 7d) or a time (2026-01-31, 2026-01-31T12:00:00Z).\n\n"
     "  basalt audit verify && echo untouched\n"
     "  basalt audit tail 50 --since 1h\n"
     "  basalt audit export --csv --since 2026-01-01 > audit.csv\n"
     "  basalt audit export | jq 'select(.name == \"login_failed\")'\n", "--csv --json --journal --since=", audit_command},
    {"psql", "psql [--data DIR] [ARGUMENTS OF PSQL]", "a database shell as role postgres",
     "  basalt psql\n  basalt psql -- -c 'select count(*) from auth.users'\n", NULL, psql_command},
};
/* clang-format on */
const unsigned command_count = sizeof(command_list) / sizeof(command_list[0]);

int command_fail(const struct err *e)
{
    fprintf(stderr, "basalt: %s\n", e->message);
    if (e->detail[0])
        fprintf(stderr, "        %s\n", e->detail);
    return e->status == 2 || e->status == 3 ? e->status : 1;
}

int command_misused(const char *command, const char *why)
{
    fprintf(stderr, "basalt %s: %s\nTry `basalt %s --help`.\n", command, why, command);
    return 2;
}
