// SPDX-License-Identifier: Apache-2.0
// What mails say: the operator's own templates from settings, a folder or a URL; what users wrote
// stays text; what is wrong with a template is told at the start, and before it by `mail preview`.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { command, email, scratch, Server, start } from '../lib/basalt.mjs'
import { startMail } from '../lib/mail.mjs'
import * as sql from '../lib/sql.mjs'
import { waitFor, within } from '../lib/wait.mjs'

let base, server, mail, admin, site, page, own
const folder = scratch()
const put = (name, text) => fs.writeFileSync(path.join(folder, name), text)

before(async () => {
  mail = await startMail()
  put('recovery.html', '<p>Dear {{ .Data.name }},</p>{{ if .Data.vip }}<b>VIP</b>{{ end }}\n' +
    '<a href="{{ .SiteURL }}/reset?token_hash={{ .TokenHash }}&next={{ .RedirectTo }}" title="{{ .Data.name }}">reset</a>')
  put('recovery.subject', 'Hello {{ .Data.name }}')
  put('invite.html', '<p>from the folder</p>')
  put('own_invite.html', '<p>from the setting</p>')
  page = { status: 200, text: '<p>fetched for {{ .Email }}</p>', asked: 0 }
  site = http.createServer((req, res) => {
    page.asked++
    res.writeHead(page.status).end(page.text)
  })
  await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve))
  base = await start({ settings: { cleanup: 'false', mailer_autoconfirm: 'false' } })
  own = [{
    smtp_url: mail.url, cleanup: 'false', mail_templates: folder, site_url: 'https://app.example.com',
    smtp_headers: '{"X-Kind":["$messageType"],"X-App":"basalt"}',
  }, { env: {
    GOTRUE_MAILER_TEMPLATES_INVITE: path.join(folder, 'own_invite.html'),
    GOTRUE_MAILER_SUBJECTS_INVITE: 'Welcome to {{ .SiteURL }}',
    GOTRUE_MAILER_TEMPLATES_MAGIC_LINK: `http://127.0.0.1:${site.address().port}/magic.html`,
    GOTRUE_SMTP_SENDER_NAME: 'Ünïcode',
  } }]
  server = await base.beside(...own)
  admin = await sql.session(base.urlAs('supabase_admin', 'DB_ADMIN_PASSWORD'))
})
after(() => new Promise((resolve) => site.close(resolve)))

async function send(kind, data = {}) {
  const to = email()
  await admin.rows(`with m as (insert into basalt.mail (id, kind, recipient, data, expires_at)
    values ($1, $2, $3, $4, now() + interval '1 day') returning id)
    insert into basalt.job (kind, payload) select 'mail', jsonb_build_object('id', id) from m`,
  [randomUUID(), kind, to, JSON.stringify({ Email: to, SiteURL: 'https://app.example.com',
    TokenHash: 'ab12', Token: '123456', RedirectTo: 'https://x.org/?a=1&b=2', Data: {}, ...data })])
  return mail.to(to)
}

describe('templates', () => {
  test('of the folder; values escaped by where they stand', async () => {
    const letter = await send('recovery', { Data: { name: 'O\'N "&" <b>Co</b>', vip: true } })
    assert.equal(letter.subject, 'Hello O\'N "&" <b>Co</b>')
    assert.match(letter.html, /<p>Dear O&#39;N &#34;&amp;&#34; &lt;b&gt;Co&lt;\/b&gt;,<\/p><b>VIP<\/b>/)
    assert.match(letter.html, /title="O&#39;N &#34;&amp;&#34; &lt;b&gt;Co&lt;\/b&gt;"/)
    assert.equal(letter.link, 'https://app.example.com/reset?token_hash=ab12&next=https%3a%2f%2fx.org%2f%3fa%3d1%26b%3d2')
    assert.equal(letter.headers['x-kind'], 'recovery')
    assert.equal(letter.headers['x-app'], 'basalt')
    assert.deepEqual(letter.from, { address: 'noreply@app.example.com', name: 'Ünïcode' })
  })

  test('cannot be made to carry more headers, recipients or lines', async () => {
    const letter = await send('recovery', { Data: { name: 'Eve\r\nBcc: eve@example.com\r\n\r\n<h1>x</h1>' } })
    assert.equal(letter.subject.replace(/ +/g, ' '), 'Hello Eve Bcc: eve@example.com <h1>x</h1>')
    assert.equal(letter.headers.bcc, undefined)
    assert.equal(letter.envelope.to.length, 1)
    assert.ok(!letter.html.includes('<h1>'))
  })

  test('of settings come before those of the folder', async () => {
    const letter = await send('invite')
    assert.equal(letter.subject, 'Welcome to https://app.example.com')
    assert.match(letter.html, /from the setting/)
  })

  test('of a URL are fetched and kept; while it cannot be had the last one, or the built-in, serves', async () => {
    page.status = 500
    const built = await send('magic_link', { ConfirmationURL: 'https://api.example.com/x' })
    assert.match(built.html, /Your sign-in link/)
    await waitFor('the log line', () => server.events('mail.template_failed').length > 0)
    const asked = page.asked
    await send('magic_link')
    assert.equal(page.asked, asked, 'not asked again at once')
    page.status = 200
    await server.stop() // whose next try would be in ten seconds
    server = await base.beside(...own)
    const first = await send('magic_link')
    assert.equal(first.html.trim(), `<p>fetched for ${first.envelope.to[0]}</p>`)
    const once = page.asked
    await send('magic_link')
    assert.equal(page.asked, once)
  })
})

describe('a wrong template', () => {
  for (const [what, settings, words] of [
    ['an unknown variable', { mailer_subjects_invite: 'Dear {{ .Name }}' }, /mailer_subjects_invite: line 1: there is no variable \.Name/],
    ['a file that is not there', { mailer_templates_invite: '/nowhere/x.html' }, /mail template \/nowhere\/x\.html cannot be read/],
    ['headers that are no JSON', { smtp_headers: 'X: y' }, /smtp_headers/],
    ['an SMTP URL that is none', { smtp_url: 'http://x' }, /smtp_url/],
    ['a sender that is no address', { smtp_admin_email: 'The App' }, /smtp_admin_email is no address/],
    ['two mail servers', { smtp_url: 'smtp://127.0.0.1', smtp_host: 'x' }, /smtp_url and smtp_host/],
  ])
    test(`${what} stops the start with the mend`, async () => {
      const broken = new Server({ databaseUrl: base.db, settings })
      broken.spawn().ready.catch(() => {})
      const end = await within(30_000, 'its end', broken.exited)
      assert.equal(end.code, 2)
      assert.match(broken.log(), words)
    })
})

describe('basalt mail', () => {
  test('preview shows a template with invented data, and what is wrong with it', async () => {
    const done = await base.command(['mail', 'preview', 'recovery', '--mail-templates', folder,
      '--with', '{"Data":{"name":"<Grace>"}}'])
    assert.equal(done.code, 0, done.stderr)
    assert.match(done.stdout, /^Subject: Hello <Grace>\n\n<p>Dear &lt;Grace&gt;/)
    for (const kind of ['confirmation', 'invite', 'mfa_factor_enrolled_notification'])
      assert.equal((await base.command(['mail', 'preview', kind])).code, 0)
    const wrong = await base.command(['mail', 'preview', 'recovery'],
      { env: { BASALT_MAILER_TEMPLATES_RECOVERY: path.join(folder, 'wrong.html') } })
    assert.notEqual(wrong.code, 0)
    put('wrong.html', 'a\n{{ .Foo }}')
    assert.match((await base.command(['mail', 'preview', 'recovery'],
      { env: { BASALT_MAILER_TEMPLATES_RECOVERY: path.join(folder, 'wrong.html') } })).stderr,
    /wrong\.html: line 2: there is no variable \.Foo/)
    assert.match((await base.command(['mail', 'preview', 'greeting'])).stderr, /no kind of mail greeting/)
  })

  test('list and show tell of mails that wait where no mail server is set', async () => {
    await server.stop()
    const [id, to] = [randomUUID(), email()]
    await admin.rows(`insert into basalt.mail (id, kind, recipient, data, expires_at) values ($1, 'recovery', $2,
      '{"ConfirmationURL":"https://x.org/?token=a&b=c","Token":"123456","Email":"x"}', now() + interval '1 day')`, [id, to])
    assert.match(base.stdout, /mails wait, since no SMTP server is set/)
    assert.match((await base.command(['mail', 'list'])).stdout, new RegExp(`^${id} .* waiting +recovery +${to}$`, 'm'))
    const shown = await base.command(['mail', 'show', id])
    assert.match(shown.stdout, /Subject: Reset your password\n\n[^]*href="https:\/\/x\.org\/\?token=a&amp;b=c"[^]*123456/)
    assert.match((await base.command(['mail', 'show', randomUUID()])).stderr, /there is no mail/)
    assert.match((await base.command(['mail', 'show', "x' or 1=1"])).stderr, /there is no mail/)
    await admin.rows(`update basalt.mail set created_at = now() - interval '11 minutes'`)
    assert.match((await base.command(['doctor'])).stdout, /mails have been waiting/)
    assert.match((await base.command(['doctor', '--listen', '0.0.0.0:8000'])).stdout, /no mail can be sent: set smtp_url/)
  })

  test('wrong calls say so', async () => {
    for (const args of [['mail'], ['mail', 'show'], ['mail', 'send', 'x'], ['mail', 'list', 'a', 'b']]) {
      const done = await command(args, { data: scratch() })
      assert.equal(done.code, 2, args.join(' '))
      assert.match(done.stderr, /basalt mail/)
    }
  })
})
