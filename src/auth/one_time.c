/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/one_time.h"

#include "base/clock.h"
#include "base/hex.h"
#include "base/rand.h"
#include "crypto/hmac.h"

/* Names of auth.one_time_token_type. */
static const char *const kind_names[ONE_TIME_KIND_COUNT] = {
    [ONE_TIME_CONFIRMATION] = "confirmation_token",
    [ONE_TIME_REAUTHENTICATION] = "reauthentication_token",
    [ONE_TIME_RECOVERY] = "recovery_token",
    [ONE_TIME_EMAIL_CHANGE_NEW] = "email_change_token_new",
    [ONE_TIME_EMAIL_CHANGE_CURRENT] = "email_change_token_current",
};

struct str one_time_hash(struct req *req, struct str address, struct str otp)
{
    char *hex = arena_alloc(req->arena, ONE_TIME_HASH_LENGTH + 1);
    unsigned char mac[32];
    hmac_sha256(auth_config_of(req)->one_time_secret,
                arena_printf(req->arena, "one-time %.*s %.*s", STR_ARG(address), STR_ARG(otp)),
                mac);
    hex_encode(mac, ONE_TIME_HASH_LENGTH / 2, hex);
    return str_of(hex, ONE_TIME_HASH_LENGTH);
}

void one_time_make(struct req *req, struct str address, bool pkce, struct one_time *out)
{
    size_t digits = (size_t)auth_config_of(req)->otp_length;
    char *otp = arena_alloc(req->arena, digits + 1);
    rand_text(otp, digits, S("0123456789"));
    out->otp = str_of(otp, digits);
    out->hash = one_time_hash(req, address, out->otp);
    if (pkce)
        out->hash = arena_printf(req->arena, "pkce_%.*s", STR_ARG(out->hash));
}

void one_time_store(struct pg_tx *tx, enum one_time_kind kind, struct str user_id,
                    struct str relates_to, const struct one_time *t)
{
    pg_tx_add(tx, &one_time_store_sql,
              PG_ARGS(user_id, str_from(kind_names[kind]), t->hash, relates_to));
}

void one_time_clear(struct pg_tx *tx, struct str user_id)
{
    pg_tx_add(tx, &one_time_clear_sql, PG_ARGS(user_id));
}

bool one_time_lives(const struct req *req, int64_t sent_us)
{
    return sent_us && sent_us != INT64_MAX
           && req->now_us < sent_us + auth_config_of(req)->otp_life_us;
}

bool one_time_frequency(const struct req *req, int64_t sent_us, struct err *e)
{
    int64_t apart_us = auth_config_of(req)->mail_frequency_us,
            left_us = sent_us + apart_us - req->now_us;
    if (!apart_us || !sent_us || left_us <= 0) /* a mail may be younger than this request */
        return true;
    int seconds = (int)((left_us + CLOCK_S - 1) / CLOCK_S);
    err_set(e, 429, "over_email_send_rate_limit",
            "For security purposes, you can only request this after %d seconds.", seconds);
    e->retry_after_s = seconds;
    return false;
}
