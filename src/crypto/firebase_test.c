/* SPDX-License-Identifier: Apache-2.0 */
#include "firebase.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* The example of github.com/firebase/scrypt, whose password is user1password. */
#define SIGNER \
    "jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA=="
#define REST                                                                                \
    "$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjo" \
    "Zilo78198JAdRuid5lQ=="
#define EXAMPLE "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=" SIGNER REST

static bool right(const char *password, const char *stored)
{
    struct err e = {0};
    bool ok = false;
    assert_true(firebase_known(str_from(stored)));
    assert_true(firebase_verify(str_from(password), str_from(stored), &ok, &e));
    return ok;
}

static void published_example(void **state)
{
    (void)state;
    assert_true(right("user1password", EXAMPLE));
    assert_false(right("user1Password", EXAMPLE));
    assert_false(right("", EXAMPLE));
    assert_false(right("user1password", "$fbscrypt$v=1,n=14,r=8,p=1,sk=" SIGNER REST));
    assert_false(right("user1password", "$fbscrypt$v=1,n=13,r=8,p=1,ss=Bw==,sk=" SIGNER REST));
}

/* clang-format off */
static const char *const unknown[] = {
    "", "$fbscrypt$", "$fbscrypt$v=1,n=14$x$y",
    "$fbscrypt$v=2,n=14,r=8,p=1,ss=Bw==,sk=" SIGNER REST,
    "$fbscrypt$v=1,n=17,r=8,p=1,ss=Bw==,sk=" SIGNER REST,
    "$fbscrypt$v=1,n=16,r=9,p=1,ss=Bw==,sk=" SIGNER REST, /* 72 MiB */
    "$fbscrypt$v=1,n=14,r=8,p=5,ss=Bw==,sk=" SIGNER REST,
    "$fbscrypt$v=1,n=0,r=8,p=1,ss=Bw==,sk=" SIGNER REST,
    "$fbscrypt$v=1,n=14,r=8,ss=Bw==,sk=" SIGNER REST,
    "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==" REST,
    "$fbscrypt$v=1,n=14,r=8,p=1,x=1,ss=Bw==,sk=" SIGNER REST,
    "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=AAAA" REST,   /* hash and signer differ in length */
    "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=!" REST,
    "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=" SIGNER "$42xEC+ixf3L2lw==",
};
/* clang-format on */

static void other_forms_are_unknown(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        assert_false(firebase_known(str_from(unknown[i])));
    for (size_t n = 0; n + 1 < sizeof(EXAMPLE); n++)
        assert_false(firebase_known(str_of(EXAMPLE, n)) && n < sizeof(EXAMPLE) - 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_example),
        cmocka_unit_test(other_forms_are_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
