/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/mailer.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <cmocka.h>

static struct arena arena;
static struct auth auth;
static struct services services = {.auth = &auth};

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 20);
    auth.config = (struct auth_config){
        .api_url = S("https://api.example.com"),
        .site_url = S("https://app.example.com"),
        .mailer_paths = {[MAIL_PATH_confirmation] = S("/auth/v1/verify"),
                         [MAIL_PATH_recovery] = S("/auth/v1/verify"),
                         [MAIL_PATH_invite] = S("https://app.example.com/invited"),
                         [MAIL_PATH_email_change] = S("confirm")},
    };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_close(&arena);
    return 0;
}

static void links_to(const char *fields, enum mail_kind kind, struct str target, const char *want)
{
    struct head head = {0};
    struct err e = {0};
    char text[500];
    size_t scanned = 0, used = 0;
    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", fields);
    assert_int_equal(head_parse(str_from(text), &scanned, &head, &used, &e), HEAD_DONE);
    struct req req = {.arena = &arena, .services = &services, .head = &head};
    struct mail m = {
        .kind = kind, .token_hash = S("pkce_ab12"), .verify_type = "signup", .redirect_to = target};
    struct str got = mailer_link(&req, &m);
    if (!str_is(got, want))
        fail_msg("got %.*s\nwant %s", STR_ARG(got), want);
}

static void are_gotrues(void **state)
{
    (void)state;
    links_to(
        "", MAIL_CONFIRMATION, (struct str){0},
        "https://api.example.com/auth/v1/verify?token=pkce_ab12&type=signup&redirect_to=https://app.example.com");
    links_to(
        "", MAIL_CONFIRMATION, S("https://x.org/a%20b?"),
        "https://api.example.com/auth/v1/verify?token=pkce_ab12&type=signup&redirect_to=https://x.org/a%20b?");
    links_to(
        "", MAIL_MAGIC_LINK, S("https://x.org/?a=b&c#d"),
        "https://api.example.com/auth/v1/verify?token=pkce_ab12&type=signup&redirect_to=https%3A%2F%2Fx.org%2F%3Fa%3Db%26c%23d");
    links_to("", MAIL_INVITE, S("x"),
             "https://app.example.com/invited?token=pkce_ab12&type=signup&redirect_to=x");
    links_to("", MAIL_EMAIL_CHANGE, S("x"),
             "https://api.example.com/confirm?token=pkce_ab12&type=signup&redirect_to=x");
    auth.config.api_url = S("https://api.example.com/auth/v1");
    links_to("", MAIL_RECOVERY, S("x"),
             "https://api.example.com/auth/v1/verify?token=pkce_ab12&type=signup&redirect_to=x");
    auth.config.api_url = S("https://example.com/backend/");
    links_to(
        "", MAIL_RECOVERY, S("x"),
        "https://example.com/backend/auth/v1/verify?token=pkce_ab12&type=signup&redirect_to=x");
}

/* Whoever asks for somebody's recovery must not choose where its token goes. */
static void obey_no_header(void **state)
{
    const char *own =
        "https://api.example.com/auth/v1/verify?token=pkce_ab12&type=signup&redirect_to=x";
    const char *listed =
        "https://other.example.com/auth/v1/verify?token=pkce_ab12&type=signup&redirect_to=x";
    (void)state;
    links_to("X-Forwarded-Host: evil.example\r\n", MAIL_RECOVERY, S("x"), own);
    links_to("Forwarded: host=evil.example\r\nX-Forwarded-Proto: http\r\n", MAIL_RECOVERY, S("x"),
             own);
    auth.config.mailer_external_hosts = S("other.example.com, third.example.com:8443");
    links_to("X-Forwarded-Host: other.example.com\r\n", MAIL_RECOVERY, S("x"), listed);
    links_to("X-Forwarded-Host: evil.example\r\n", MAIL_RECOVERY, S("x"), own);
    links_to("X-Forwarded-Host: other.example.com.evil.example\r\n", MAIL_RECOVERY, S("x"), own);
    links_to("X-Forwarded-Host: other.example.com@evil.example\r\n", MAIL_RECOVERY, S("x"), own);
    links_to("X-Forwarded-Host: other.example.com:80@evil.example\r\n", MAIL_RECOVERY, S("x"), own);
    links_to("X-Forwarded-Host: other.example.com:evil.example\r\n", MAIL_RECOVERY, S("x"), own);
    links_to("X-Forwarded-Host: other.example.com, evil.example\r\n", MAIL_RECOVERY, S("x"), own);
    links_to(
        "X-Forwarded-Host: other.example.com:8443\r\nX-Forwarded-Proto: http\r\n", MAIL_RECOVERY,
        S("x"),
        "http://other.example.com:8443/auth/v1/verify?token=pkce_ab12&type=signup&redirect_to=x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(are_gotrues, setup, teardown),
        cmocka_unit_test_setup_teardown(obey_no_header, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
