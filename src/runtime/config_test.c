/* SPDX-License-Identifier: Apache-2.0 */
#include "config.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

struct settings {
    const char *listen, *secret, *mode, *origins, *site_url;
    bool confirm;
    int64_t pool_size, timeout_us, body_bytes;
};

enum { LISTEN, SECRET, MODE, ORIGINS, SITE_URL, CONFIRM, POOL_SIZE, TIMEOUT, BODY, ROWS };

#define AT(member) offsetof(struct settings, member)
static const struct config_row rows[ROWS] = {
    {"listen", CONFIG_STR, AT(listen), "127.0.0.1:8000", 0, 0, NULL, NULL, "Server",
     "Where to listen."},
    {"jwt_secret", CONFIG_SECRET, AT(secret), NULL, 0, 0, NULL,
     "GOTRUE_JWT_SECRET PGRST_JWT_SECRET", "Keys", "Signs."},
    {"mode", CONFIG_CHOICE, AT(mode), "on", 0, 0, "on off auto", NULL, "Server", "A choice."},
    {"origins", CONFIG_LIST, AT(origins), NULL, 0, 0, NULL, NULL, "Server",
     "A list, with a | bar."},
    {"site_url", CONFIG_STR, AT(site_url), NULL, 0, 0, NULL, "GOTRUE_SITE_URL", "Server", "Links."},
    {"autoconfirm", CONFIG_BOOL, AT(confirm), "false", 0, 0, NULL, NULL, "Server", "A switch."},
    {"pool_size", CONFIG_INT, AT(pool_size), "8", 1, 1000, NULL, NULL, "Server", "Connections."},
    {"timeout", CONFIG_DURATION, AT(timeout_us), "10s", 1000, 600000000, NULL, "GOTRUE_TIMEOUT",
     "Server", "A time."},
    {"body", CONFIG_SIZE, AT(body_bytes), "1MiB", 1, 0, NULL, NULL, "Server", "A size."},
};
static const struct config_table table = {rows, ROWS, "BASALT_"};

static struct arena arena;
static struct settings got;
static enum config_source sources[ROWS];
static const char *rest[16];
static int rest_n;
static struct err err;

static int open_arena(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 20);
    return 0;
}

static int close_arena(void **state)
{
    (void)state;
    arena_close(&arena);
    return 0;
}

/* words and env are NULL-terminated. */
static bool load_all(char **words, char **env, const char *file)
{
    struct config_input in = {.argv = words, .env = env};
    while (words[in.argc])
        in.argc++;
    if (file) {
        in.file = "t.conf";
        in.file_bytes = str_from(file);
    }
    memset(&got, 0x5a, sizeof(got));
    return config_load(&table, &in, &got, sources, &arena, rest, &rest_n, &err);
}

/* A list of texts that config_load takes as argv or environ, which it never writes to. */
#define LIST(...)       ((char **)(uintptr_t)(const char *[]){__VA_ARGS__, NULL})
#define NOTHING         LIST(NULL)
#define FLAGS(...)      load_all(LIST(__VA_ARGS__), NOTHING, NULL)
#define ENV(...)        load_all(NOTHING, LIST(__VA_ARGS__), NULL)
#define FILE_TEXT(text) load_all(NOTHING, NOTHING, text)

static void refused(bool ok, const char *message)
{
    struct settings before;
    memset(&before, 0x5a, sizeof(before));
    assert_false(ok);
    assert_int_equal(err.status, 2);
    assert_string_equal(err.code, "config");
    assert_string_equal(err.message, message);
    assert_memory_equal(&got, &before, sizeof(got)); /* untouched */
}

static void defaults(void **state)
{
    (void)state;
    assert_true(load_all(NOTHING, NOTHING, NULL));
    assert_string_equal(got.listen, "127.0.0.1:8000");
    assert_null(got.secret);
    assert_string_equal(got.mode, "on");
    assert_null(got.origins);
    assert_false(got.confirm);
    assert_int_equal(got.pool_size, 8);
    assert_int_equal(got.timeout_us, 10000000);
    assert_int_equal(got.body_bytes, 1048576);
    assert_int_equal(rest_n, 0);
    for (int i = 0; i < ROWS; i++)
        assert_int_equal(sources[i], CONFIG_DEFAULT);
}

static void flags(void **state)
{
    (void)state;
    assert_true(
        FLAGS("--listen", "[::1]:1", "--pool-size=12", "--autoconfirm", "--site_url", "-x"));
    assert_string_equal(got.listen, "[::1]:1");
    assert_int_equal(got.pool_size, 12);
    assert_true(got.confirm);
    assert_string_equal(got.site_url, "-x");
    assert_int_equal(sources[LISTEN], CONFIG_FLAG);
    assert_int_equal(sources[MODE], CONFIG_DEFAULT);
    assert_true(FLAGS("--autoconfirm", "--no-autoconfirm"));
    assert_false(got.confirm);
    assert_true(FLAGS("--autoconfirm=on", "--listen="));
    assert_true(got.confirm);
    assert_null(got.listen);
    assert_true(FLAGS("--autoconfirm", "false"));
    assert_false(got.confirm);
    assert_int_equal(rest_n, 0);
}

static void words_that_are_left(void **state)
{
    (void)state;
    assert_true(FLAGS("one", "--autoconfirm", "two", "-o", "--help", "--", "--listen", "-"));
    assert_true(got.confirm);
    assert_int_equal(rest_n, 6);
    const char *want[] = {"one", "two", "-o", "--help", "--listen", "-"};
    for (int i = 0; i < 6; i++)
        assert_string_equal(rest[i], want[i]);
}

static void flag_mistakes(void **state)
{
    (void)state;
    refused(FLAGS("--lsten", "x"), "unknown flag --lsten; did you mean --listen?");
    refused(FLAGS("--poolsize=3"), "unknown flag --poolsize; did you mean --pool-size?");
    refused(FLAGS("--no-autoconfrm"), "unknown flag --no-autoconfrm; did you mean --autoconfirm?");
    refused(FLAGS("--zzzzzz"), "unknown flag --zzzzzz");
    refused(FLAGS("--no-autoconfirm=1"), "--no-autoconfirm takes no value");
    refused(FLAGS("--listen"), "--listen needs a value: a text");
    refused(FLAGS("--pool-size", "--listen", "x"),
            "--pool-size needs a value: a whole number from 1 to 1000");
}

static void order_of_sources(void **state)
{
    (void)state;
    char **env = LIST("BASALT_POOL_SIZE=20", "BASALT_LISTEN=e", "HOME=/", "GOTRUE_SITE_URL=s");
    const char *file = "pool_size = 30\nlisten = f\nmode = off\nsite_url = f\n";
    assert_true(load_all(LIST("--pool-size", "10"), env, file));
    assert_int_equal(got.pool_size, 10);
    assert_string_equal(got.listen, "e");
    assert_string_equal(got.mode, "off");
    assert_string_equal(got.site_url, "s");
    assert_int_equal(sources[POOL_SIZE], CONFIG_FLAG);
    assert_int_equal(sources[LISTEN], CONFIG_ENV);
    assert_int_equal(sources[MODE], CONFIG_FILE);
    assert_int_equal(sources[SITE_URL], CONFIG_ALIAS);
    assert_int_equal(sources[TIMEOUT], CONFIG_DEFAULT);
}

static void environment(void **state)
{
    (void)state;
    assert_true(ENV("BASALT_LISTEN=", "GOTRUE_JWT_ADMIN=x", "PGRST_DB_POOL=3", "NOEQUALS"));
    assert_string_equal(got.listen, "127.0.0.1:8000"); /* an empty one is not given */
    assert_true(ENV("GOTRUE_TIMEOUT=30"));
    assert_int_equal(got.timeout_us, 30000000);
    assert_true(ENV("BASALT_SITE_URL=a", "GOTRUE_SITE_URL=a"));
    assert_int_equal(sources[SITE_URL], CONFIG_ENV);
    assert_true(ENV("BASALT_TIMEOUT=1m", "GOTRUE_TIMEOUT=60")); /* the same, said otherwise */
    refused(ENV("BASALT_LSTEN=1"),
            "unknown setting BASALT_LSTEN in the environment; did you mean BASALT_LISTEN?");
    refused(ENV("BASALT_ZZZZZZZ=1"), "unknown setting BASALT_ZZZZZZZ in the environment");
    refused(ENV("BASALT_LISTEN_FILE=/x"), "BASALT_LISTEN_FILE: only secrets are read from files");
    refused(ENV("BASALT_SITE_URL=a", "GOTRUE_SITE_URL=b"),
            "environment BASALT_SITE_URL and environment GOTRUE_SITE_URL give site_url different "
            "values: keep one");
    assert_true(
        load_all(LIST("--site-url=c"), LIST("BASALT_SITE_URL=a", "GOTRUE_SITE_URL=b"), NULL));
    assert_string_equal(got.site_url, "c");
}

static void bad_values(void **state)
{
    (void)state;
    refused(FLAGS("--pool-size", "0"),
            "flag --pool-size: pool_size must be a whole number from 1 to 1000, not \"0\"");
    refused(
        ENV("BASALT_POOL_SIZE=1e3"),
        "environment BASALT_POOL_SIZE: pool_size must be a whole number from 1 to 1000, not \"1e3\"");
    refused(
        FILE_TEXT("\n\ntimeout = 11m"),
        "t.conf line 3: timeout must be a duration such as 250ms, 10s or 1h30m, from 1ms to 10m, "
        "not \"11m\"");
    refused(
        FILE_TEXT("timeout = 9223372036854775807"),
        "t.conf line 1: timeout must be a duration such as 250ms, 10s or 1h30m, from 1ms to 10m, "
        "not \"9223372036854775807\"");
    refused(FLAGS("--body=x"),
            "flag --body: body must be a size such as 4096, 64KiB or 10MiB, of at "
            "least 1, not \"x\"");
    refused(FLAGS("--mode", "maybe"),
            "flag --mode: mode must be one of: on off auto, not \"maybe\"");
    refused(FLAGS("--autoconfirm=2"),
            "flag --autoconfirm: autoconfirm must be true or false, not \"2\"");
    assert_true(FLAGS("--mode", "AUTO"));
    assert_string_equal(got.mode, "auto");
}

static void file_mistakes(void **state)
{
    (void)state;
    refused(FILE_TEXT("lsten = 1"),
            "t.conf line 1: unknown setting \"lsten\"; did you mean \"listen\"?");
    refused(FILE_TEXT("zzzzzz = 1"), "t.conf line 1: unknown setting \"zzzzzz\"");
    refused(FILE_TEXT("listen = 1\nlisten = 2"),
            "t.conf line 2: listen was already given (t.conf line 1)");
    refused(FILE_TEXT("listen"), "t.conf line 1: \"name = value\" is expected");
    assert_true(FILE_TEXT("listen =\norigins = \"a, b\""));
    assert_null(got.listen);
    assert_string_equal(got.origins, "a, b");
}

static void files_on_disk(void **state)
{
    char dir[] = "/tmp/basalt-config-XXXXXX", path[64];
    struct config_input in = {.file = path};
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/basalt.conf", dir);
    assert_true(config_load(&table, &in, &got, NULL, &arena, rest, &rest_n, &err));
    in.file_required = true;
    assert_false(config_load(&table, &in, &got, NULL, &arena, rest, &rest_n, &err));
    assert_int_equal(err.status, 2);
    assert_true(file_now_write(path, S("listen = here\n"), 0600, &err));
    assert_true(config_load(&table, &in, &got, NULL, &arena, rest, &rest_n, &err));
    assert_string_equal(got.listen, "here");
    unlink(path);
    rmdir(dir);
}

static void secrets(void **state)
{
    char path[] = "/tmp/basalt-secret-XXXXXX", own[64], alias[64];
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "s3cret \r\n\n", 10), 10);
    snprintf(own, sizeof(own), "BASALT_JWT_SECRET_FILE=%s", path);
    snprintf(alias, sizeof(alias), "GOTRUE_JWT_SECRET_FILE=%s", path);
    assert_true(ENV(own));
    assert_string_equal(got.secret, "s3cret ");
    assert_int_equal(sources[SECRET], CONFIG_ENV);
    assert_true(ENV(alias, "PGRST_JWT_SECRET=s3cret "));
    assert_int_equal(sources[SECRET], CONFIG_ALIAS);
    assert_string_equal(got.secret, "s3cret ");
    refused(ENV(alias, "PGRST_JWT_SECRET=other"),
            "environment GOTRUE_JWT_SECRET_FILE and environment PGRST_JWT_SECRET give jwt_secret "
            "different values: keep one");
    assert_int_equal(ftruncate(fd, 100000), 0);
    assert_false(ENV(own)); /* too large */
    assert_int_equal(ftruncate(fd, 12), 0);
    refused(ENV(own), "environment BASALT_JWT_SECRET_FILE: jwt_secret must hold no NUL");
    unlink(path);
    close(fd);
    assert_false(ENV(own)); /* gone */
    assert_non_null(strstr(err.message, "BASALT_JWT_SECRET_FILE: "));
}

static void assert_shows(size_t row, const char *want)
{
    struct str text = config_show(&rows[row], &got, &arena);
    if (!str_is(text, want))
        fail_msg("%s: %.*s", rows[row].name, STR_ARG(text));
}

static void showing(void **state)
{
    (void)state;
    assert_true(
        FLAGS("--jwt-secret", "hush", "--timeout", "90s", "--body", "1536", "--autoconfirm"));
    assert_shows(LISTEN, "127.0.0.1:8000");
    assert_shows(SECRET, "(secret)");
    assert_shows(ORIGINS, "");
    assert_shows(TIMEOUT, "90s");
    assert_shows(BODY, "1536");
    assert_shows(CONFIRM, "true");
    assert_shows(POOL_SIZE, "8");
    assert_true(FLAGS("--timeout", "1500us", "--body", "3GiB"));
    assert_shows(TIMEOUT, "1500us");
    assert_shows(BODY, "3GiB");
    assert_shows(SECRET, "");
    assert_true(FLAGS("--timeout", "5m", "--body", "64KiB"));
    assert_shows(TIMEOUT, "5m");
    assert_shows(BODY, "64KiB");
}

static void manual(void **state)
{
    CLEANUP(buf_free) struct buf b = {0};
    (void)state;
    buf_init(&b, 65536);
    write_help(&b, &table, false);
    buf_char(&b, '\0');
    assert_false(b.failed);
    assert_non_null(
        strstr(b.p, "Server:\n  --listen TEXT\n      Where to listen. Default: 127.0.0.1:8000.\n"
                    "      BASALT_LISTEN\n"));
    assert_non_null(
        strstr(b.p, "  --mode WORD\n      A choice. One of: on off auto. Default: on.\n"));
    assert_non_null(
        strstr(b.p, "Keys:\n  --jwt-secret SECRET\n      Signs.\n      BASALT_JWT_SECRET (or "
                    "with _FILE); also GOTRUE_JWT_SECRET PGRST_JWT_SECRET\n"));
    buf_reset(&b);
    write_help(&b, &table, true);
    buf_char(&b, '\0');
    assert_non_null(strstr(b.p, "### Keys\n\n| setting |"));
    assert_non_null(strstr(b.p,
                           "| `pool_size` | `BASALT_POOL_SIZE` | `8` | Connections. Accepted: a "
                           "whole number from 1 to 1000. |\n"));
    assert_non_null(
        strstr(b.p, "| `origins` | `BASALT_ORIGINS` | none | A list, with a \\| bar. |\n"));
    assert_non_null(strstr(b.p, "`BASALT_TIMEOUT`, `GOTRUE_TIMEOUT` | `10s` |"));
}

static void no_room(void **state)
{
    struct arena small;
    char *argv[] = {(char[]){"--listen=0123456789012345678901234567890123456789"}, NULL};
    struct config_input in = {.argc = 1, .argv = argv};
    (void)state;
    arena_init(&small, 16);
    assert_false(config_load(&table, &in, &got, NULL, &small, rest, &rest_n, &err));
    assert_string_equal(err.message, "the settings are too large");
    arena_close(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(flags),
        cmocka_unit_test(words_that_are_left),
        cmocka_unit_test(flag_mistakes),
        cmocka_unit_test(order_of_sources),
        cmocka_unit_test(environment),
        cmocka_unit_test(bad_values),
        cmocka_unit_test(file_mistakes),
        cmocka_unit_test(files_on_disk),
        cmocka_unit_test(secrets),
        cmocka_unit_test(showing),
        cmocka_unit_test(manual),
        cmocka_unit_test(no_room),
    };
    return cmocka_run_group_tests(tests, open_arena, close_arena);
}
