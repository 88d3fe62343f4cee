// SPDX-License-Identifier: Apache-2.0
// Registering on the app routes where addresses have to be confirmed: the mail comes, its link
// confirms, and only then there is a way in (seed 002).
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { countUsers, email, password, start } from '../lib/basalt.mjs'
import { startMail } from '../lib/mail.mjs'

let mail, server

before(async () => {
  mail = await startMail()
  server = await start({ settings: { smtp_url: mail.url, mailer_autoconfirm: 'false', rate_limits: 'off',
    site_url: 'https://app.example.com' } })
})

for (const [path, status] of [['/auth/signup', 200], ['/v1/auth/register', 201], ['/auth/flutter-register', 201]]) {
  test(`POST /api${path}`, async () => {
    const address = email('confirm')
    const json = { email: address, password, name: 'Ada', role: 'Creator' }
    const login = () => server.app('POST', '/auth/login', { json: { email: address, password } })
    const made = await server.app('POST', path, { json })
    assert.equal(made.status, status, made.text)
    assert.equal(made.json.access_token, undefined)
    const early = await login()
    assert.equal(early.status, 403)
    assert.equal(early.json.message, 'Please verify your email before logging in')
    const letter = await mail.to(address)
    assert.equal(letter.subject, 'Confirm your email address')
    const link = new URL(letter.link)
    assert.equal(link.searchParams.get('type'), 'signup')
    const opened = await server.call(link.pathname + link.search)
    assert.equal(opened.status, 303, opened.text)
    assert.ok(opened.headers.location.startsWith('https://app.example.com'))
    const later = await login()
    assert.equal(later.status, 200, later.text)
    assert.equal(later.json.role, 'Creator')
    const again = await server.app('POST', path, { json })
    assert.equal(again.status, 409)
    assert.equal(await countUsers(server, address), 1)
  })
}
