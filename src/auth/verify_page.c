/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/verify_page.h"

#include "base/base64.h"
#include "base/url.h"
#include "crypto/hash.h"

static const struct str style = S_INIT(
    ":root{color-scheme:light dark}"
    "body{margin:0;min-height:100vh;display:grid;place-items:center;font:1rem/1.5 system-ui,sans-serif}"
    "main{max-width:26rem;padding:2rem;text-align:center}"
    "h1{font-size:1.5rem;margin:0 0 .5rem}"
    "p{margin:0 0 1.5rem}"
    "button{font:inherit;font-weight:600;padding:.75rem 2rem;border:0;border-radius:.5rem;"
    "background:#1f5fbf;color:#fff;cursor:pointer}"
    "button:focus-visible{outline:3px solid #7fb0ff;outline-offset:2px}"
    "small{display:block;margin-top:1.5rem;opacity:.75}");

struct words {
    const char *type, *title, *button;
};

static const struct words all_words[] = {
    {"signup", "Confirm your email address", "Confirm"},
    {"invite", "Accept your invitation", "Accept"},
    {"recovery", "Reset your password", "Continue"},
    {"magiclink", "Sign in", "Sign in"},
    {"email_change", "Confirm your new email address", "Confirm"},
    {"", "Continue", "Continue"}, /* any other: what it is, the press of the button tells */
};

static const struct words *words_of(struct str type)
{
    size_t i = 0;
    while (all_words[i].type[0] && !str_is(type, all_words[i].type))
        i++;
    return &all_words[i];
}

static void put_escaped(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        switch (s.p[i]) {
        case '&':
            BUF_LIT(b, "&amp;");
            break;
        case '<':
            BUF_LIT(b, "&lt;");
            break;
        case '>':
            BUF_LIT(b, "&gt;");
            break;
        case '"':
            BUF_LIT(b, "&quot;");
            break;
        case '\'':
            BUF_LIT(b, "&#39;");
            break;
        default:
            buf_char(b, s.p[i]);
        }
    }
}

static void put_hidden(struct buf *b, const char *name, struct str value)
{
    buf_printf(b, "<input type=\"hidden\" name=\"%s\" value=\"", name);
    put_escaped(b, value);
    BUF_LIT(b, "\">");
}

static void put_page(struct buf *b, const struct words *w, struct str type, struct str token,
                     struct str target)
{
    struct url_parts u = {0};
    buf_printf(b,
               "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
               "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
               "<meta name=\"robots\" content=\"noindex\"><title>%s</title><style>",
               w->title);
    buf_str(b, style);
    buf_printf(
        b,
        "</style></head><body><main><h1>%s</h1><p>One more step: press the button to go on.</p>"
        "<form method=\"post\" action=\"?\">",
        w->title);
    put_hidden(b, "type", type);
    put_hidden(b, "token", token);
    put_hidden(b, "redirect_to", target);
    buf_printf(b, "<button type=\"submit\" autofocus>%s</button></form>", w->button);
    if (url_parse(target, &u) && u.host.n) {
        BUF_LIT(b, "<small>You will be taken to ");
        put_escaped(b, u.host);
        BUF_LIT(b, "</small>");
    }
    BUF_LIT(b, "</main></body></html>");
}

/* Nothing but this style; where the form leads is not bound, since its answer redirects to the app. */
static struct str policy(struct req *req)
{
    unsigned char digest[32];
    struct buf b;
    hash_sha256(style, digest);
    buf_init_arena(&b, req->arena, 256);
    BUF_LIT(&b, "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; style-src 'sha256-");
    base64_put(&b, str_of((const char *)digest, sizeof(digest)));
    BUF_LIT(&b, "'");
    return buf_view(&b);
}

bool verify_page_show(struct req *req, struct resp *resp, struct str type, struct str token,
                      struct str target, struct err *e)
{
    struct buf b;
    buf_init_arena(&b, req->arena, 64 * 1024);
    put_page(&b, words_of(type), type, token, target);
    if (b.failed)
        return err_set(e, 413, "request_entity_too_large", "This link is too long");
    resp_text(resp, 200, S("text/html; charset=utf-8"), buf_view(&b));
    resp_header(resp, "Content-Security-Policy", policy(req));
    resp_header(resp, "Cache-Control", S("no-store"));
    return true;
}
