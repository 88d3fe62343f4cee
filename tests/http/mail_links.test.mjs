// SPDX-License-Identifier: Apache-2.0
// What flows put into mails: links that no header of a request can lead elsewhere, only to addresses
// that may get mail, and never at the expense of the request.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { email, password, signedUp, start } from '../lib/basalt.mjs'
import { startMail } from '../lib/mail.mjs'
import { refused } from '../lib/refused.mjs'
import { patience, timed, waitFor } from '../lib/wait.mjs'

let server, mail
const settings = { mailer_autoconfirm: 'true', secure_email_change: 'false', rate_limits: 'off' }

before(async () => {
  mail = await startMail()
  server = await start({ settings: { ...settings, smtp_url: mail.url,
    site_url: 'https://app.example.com', mailer_external_hosts: 'other.example.com' } })
})

const path = '/auth/v1/verify?token='

// Asks for a mail to a new address, with what a proxy or an attacker adds.
async function changeAddress(to, headers, where = server) {
  const user = await signedUp(where)
  const answer = await where.auth('PUT', '/user', { token: user.token, json: { email: to }, headers })
  assert.equal(answer.status, 200, answer.text)
}

describe('links', () => {
  for (const [what, headers] of [
    ['X-Forwarded-Host', { 'x-forwarded-host': 'evil.example' }],
    ['X-Forwarded-Host behind a listed one', { 'x-forwarded-host': 'other.example.com@evil.example' }],
    ['Forwarded', { forwarded: 'host=evil.example;proto=http', 'x-forwarded-proto': 'http' }],
    ['Host', { host: 'evil.example' }],
    ['Referer and Origin', { referer: 'https://evil.example/', origin: 'https://evil.example' }],
  ])
    test(`are not led elsewhere by ${what}`, async () => {
      const to = email('new')
      await changeAddress(to, headers)
      const letter = await mail.to(to)
      assert.ok(letter.link.startsWith(server.api + path), letter.link)
      assert.match(letter.link, /\?token=[0-9a-f]{56}&type=email_change&redirect_to=https:\/\/app\.example\.com$/)
      assert.ok(!letter.raw.includes('evil'))
      assert.match(letter.otp, /^\d{6}$/)
    })

  test('of recovery, which strangers ask for, neither', async () => {
    const user = await signedUp(server)
    const headers = { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http', host: 'evil.example' }
    assert.equal((await server.auth('POST', '/recover', { json: { email: user.email }, headers })).status, 200)
    const letter = await mail.to(user.email)
    assert.ok(letter.link.startsWith(server.api + path), letter.link)
    assert.ok(!letter.raw.includes('evil'))
  })

  test('have another host only where the operator lists it', async () => {
    const to = email('new')
    await changeAddress(to, { 'x-forwarded-host': 'other.example.com' })
    assert.ok((await mail.to(to)).link.startsWith(`https://other.example.com${path}`))
  })
})

test('only authorized addresses get mail, where they are listed', async () => {
  const to = email('friend')
  const some = await server.beside({ ...settings, smtp_url: mail.url, mailer_authorized_addresses: `a@example.com, ${to}` })
  const user = await signedUp(some)
  await refused((version) => some.auth('PUT', '/user', { token: user.token, json: { email: email('stranger') }, version }),
    400, 'email_address_not_authorized', /cannot be used as it is not authorized$/)
  const [row] = await some.sql('select email_change from auth.users where id = $1', [user.id])
  assert.equal(row.email_change, '', 'nothing was written')
  await changeAddress(to, {}, some)
  await mail.to(to)
  await some.stop()
})

test('signups while the mail server is away are as fast as ever; its mails arrive later, and their links work', async () => {
  const away = await startMail()
  const node = await start({ settings: { ...settings, smtp_url: away.url, mailer_autoconfirm: 'false', smtp_retry: '100ms',
    site_url: 'https://app.example.com' } })
  await away.stop()
  const users = Array.from({ length: 6 }, () => email('late'))
  for (const address of users) {
    const { value, ms } = await timed(() => node.auth('POST', '/signup', { json: { email: address, password } }))
    assert.equal(value.status, 200, value.text)
    assert.ok(ms < 3000 * patience, `a signup took ${ms} ms`)
  }
  await waitFor('attempts', async () => (await node.sql(
    `select from basalt.mail_state where recipient = $1 and attempts > 0`, [users[0]])).length)
  await away.restart()
  for (const address of users) {
    const letter = await away.to(address, 60_000)
    assert.equal(letter.subject, 'Confirm your email address')
    const answer = await node.call(letter.link.slice(node.api.length))
    assert.equal(answer.status, 303, answer.text)
    assert.match(answer.headers.location, /^https:\/\/app\.example\.com\/?#access_token=/)
    assert.equal(away.all(address).length, 1)
  }
  await node.stop()
})

test('a notice is sent where it is enabled, and is never a reason to refuse what it tells of', async () => {
  const more = { ...settings, smtp_url: mail.url, mailer_notifications_password_changed_enabled: 'true' }
  const told = await server.beside(more)
  const silent = await server.beside({ ...more, mailer_authorized_addresses: 'nobody@example.com' })
  const mails = async (user) => Number((await server.sql(
    'select count(*) from basalt.mail_state where user_id = $1', [user.id]))[0].count)
  for (const [where, count] of [[server, 0], [silent, 0], [told, 1]]) {
    const user = await signedUp(where)
    const answer = await where.auth('PUT', '/user', { token: user.token, json: { password: 'Another-horse-8' } })
    assert.equal(answer.status, 200, answer.text)
    assert.equal(await mails(user), count)
    if (count) assert.equal((await mail.to(user.email)).subject, 'Your password was changed')
  }
  await Promise.all([told.stop(), silent.stop()])
})

test('a mail server that hangs costs requests nothing, even with one connection to PostgreSQL', async () => {
  const slow = await startMail()
  slow.mode = 'hang'
  const alone = await start({ settings: { ...settings, smtp_url: slow.url, pool_size: 1 } })
  for (let i = 0; i < 8; i++) await changeAddress(email('new'), {}, alone)
  await waitFor('mails to hang', () => slow.attempts.length >= 4)
  const from = performance.now()
  for (let i = 0; i < 5; i++) await changeAddress(email('new'), {}, alone)
  assert.ok(performance.now() - from < 10_000 * patience)
  assert.equal((await alone.sql(`select count(*) from basalt.mail_state where state = 'waiting'`))[0].count, '13')
  const stopping = performance.now()
  assert.deepEqual(await alone.stop(), { code: 0, signal: null })
  assert.ok(performance.now() - stopping < 20_000 * patience, 'a hanging mail holds up no stop')
})
