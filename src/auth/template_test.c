/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/template.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *const names[] = {"Token", "Email", "URL", "Data", NULL};
static const char data[] =
    "{\"Token\":\"123456\",\"Email\":\"a+b@x.org\",\"URL\":\"https://x.org/v?token=a b&r=https://y/\","
    "\"Data\":{\"name\":\"<b>\\\"O'N\\\" & Co\",\"n\":3,\"no\":false,\"deep\":{\"a\":\"z\"},\"null\":null,"
    "\"js\":\"javascript:alert(1)\"}}";

static void renders(bool html, const char *source, const char *want)
{
    struct arena a;
    struct template *t = NULL;
    struct err e = {0};
    struct buf b;
    arena_init(&a, 1 << 20);
    buf_init_arena(&b, &a, 1 << 20);
    if (!template_parse(str_from(source), html, names, &a, &t, &e))
        fail_msg("%s: %s", source, e.message);
    template_render(t, str_from(data), &a, &b);
    if (!str_is(buf_view(&b), want))
        fail_msg("%s\ngives %.*s\nwant  %s", source, STR_ARG(buf_view(&b)), want);
    arena_close(&a);
}

static void refuses(const char *source, const char *message)
{
    struct arena a;
    struct template *t = NULL;
    struct err e = {0};
    arena_init(&a, 1 << 20);
    if (template_parse(str_from(source), true, names, &a, &t, &e))
        fail_msg("%s was taken", source);
    assert_string_equal(e.code, "template_invalid");
    assert_string_equal(e.message, message);
    arena_close(&a);
}

static void shows_values(void **state)
{
    (void)state;
    renders(false, "{{ .Token }} is it, {{.Email}}", "123456 is it, a+b@x.org");
    renders(false, "{{ .Data.name }}", "<b>\"O'N\" & Co");
    renders(true, "<p>{{ .Data.name }}</p>", "<p>&lt;b&gt;&#34;O&#39;N&#34; &amp; Co</p>");
    renders(true, "{{ .Email }}", "a&#43;b@x.org");
    renders(
        true,
        "{{ .Data.n }}{{ .Data.no }}{{ .Data.null }}{{ .Data.none }}{{ .Data.deep.a }}{{ .Data.n.x }}",
        "3falsez");
    renders(true, "a {{- .Token -}} \n b", "a123456b");
    renders(true, "a{{/* not shown {{ */}}b", "ab");
    renders(true, "no action }} at all", "no action }} at all");
    renders(true, "", "");
}

static void escapes_by_place(void **state)
{
    (void)state;
    renders(true, "<a href=\"{{ .URL }}\">x</a>",
            "<a href=\"https://x.org/v?token=a%20b&amp;r=https://y/\">x</a>");
    renders(
        true, "<a HREF='{{ .URL }}#{{ .URL }}'>",
        "<a HREF='https://x.org/v?token=a%20b&amp;r=https://y/#https%3a%2f%2fx.org%2fv%3ftoken%3da%20b%26r%3dhttps%3a%2f%2fy%2f'>");
    renders(true, "<a href=\"/c?t={{ .Token }}&u={{ .Email }}\">",
            "<a href=\"/c?t=123456&u=a%2bb%40x.org\">");
    renders(true, "<a class=\"b\" href=\"/c/{{ .Email }}\">",
            "<a class=\"b\" href=\"/c/a&#43;b@x.org\">");
    renders(true, "<a href = \"{{ .Data.js }}\">", "<a href = \"#ZgotmplZ\">");
    renders(
        true, "<p title=\"{{ .Data.name }}\" id={{ .Data.name }}>{{ .Token }}",
        "<p title=\"&lt;b&gt;&#34;O&#39;N&#34; &amp; Co\" id=&lt;b&gt;&#34;O&#39;N&#34;&#32;&amp;&#32;Co>123456");
    renders(true, "1 < 2 {{ .Email }}", "1 < 2 a&#43;b@x.org");
}

static void decides(void **state)
{
    (void)state;
    renders(true, "{{ if .Token }}yes{{ else }}no{{ end }}", "yes");
    renders(true, "{{ if .Data.no }}yes{{ else }}no{{ end }}!", "no!");
    renders(true, "{{ if not .Data.none }}yes{{ end }}", "yes");
    renders(true, "{{ if eq .Token \"123456\" }}a{{ end }}{{ if ne .Token \"a b\" }}b{{ end }}",
            "ab");
    renders(true,
            "{{ if .Data.x }}1{{ else if .Data.y }}2{{ else if .Data.n }}3{{ else }}4{{ end }}5",
            "35");
    renders(true, "{{ if .Token }}a{{ if .Data.no }}b{{ end }}c{{ end }}d", "acd");
    renders(true, "{{ if .Data.no }}a{{ else }}{{ if .Token }}b{{ else }}c{{ end }}{{ end }}d",
            "bd");
    renders(true, "<a href=\"{{ if .Token }}{{ .URL }}{{ else }}/x{{ end }}\">",
            "<a href=\"https://x.org/v?token=a%20b&amp;r=https://y/\">");
}

static void refuses_what_it_cannot(void **state)
{
    (void)state;
    refuses("a\n{{ .Tokn }}", "line 2: there is no variable .Tokn");
    refuses("{{ .Token.x }}", "line 1: there is no variable .Token.x");
    refuses("{{ .Data..x }}", "line 1: this is no variable: .Data..x");
    refuses("{{ range .Data }}", "line 1: this action is not understood here: range .Data");
    refuses("{{ .Token | html }}", "line 1: this action is not understood here: .Token | html");
    refuses("{{ .Token ", "line 1: an action has no end: }} is missing");
    refuses("{{ if .Token }}", "line 1: an if has no end");
    refuses("{{ end }}", "line 1: end without if");
    refuses("{{ if .Token }}{{ else }}{{ else }}{{ end }}", "line 1: else without if");
    refuses("{{ if eq .Token }}{{ end }}",
            "line 1: a text in double quotes is missing in eq .Token");
    refuses("<a href={{ .URL }}>", "line 1: put the attribute around it in double quotes: .URL");
    refuses("<p {{ .Token }}>", "line 1: put the attribute around it in double quotes: .Token");
    refuses("{{ if .Token }}<a href=\"{{ end }}",
            "line 1: the branches of if end in different places of the HTML");
    refuses("{{}}", "line 1: this action is not understood here:");
    refuses("{{-}}", "line 1: this action is not understood here: -");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_values),
        cmocka_unit_test(escapes_by_place),
        cmocka_unit_test(decides),
        cmocka_unit_test(refuses_what_it_cannot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
