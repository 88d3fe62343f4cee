// SPDX-License-Identifier: Apache-2.0
// POST /auth/v1/invite.
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { countUsers, email, password, signedUp, start } from '../lib/basalt.mjs'
import { startMail } from '../lib/mail.mjs'
import { refused } from '../lib/refused.mjs'

let server, mail

before(async () => {
  mail = await startMail()
  server = await start({ settings: { smtp_url: mail.url, mailer_autoconfirm: 'true',
    site_url: 'https://app.example.org' } })
})

const invite = (json, more = {}) => server.service('POST', '/invite', { json, ...more })

test('a mail with a link; opened, the guest is in and sets a password', async () => {
  const address = email('guest')
  const data = { name: 'Guest', role: 'Creator', note: '<b>' }
  const answer = await invite({ email: address.toUpperCase(), data })
  assert.equal(answer.status, 200, answer.text)
  const user = answer.json
  assert.deepEqual([user.email, user.user_metadata, user.email_confirmed_at, user.last_sign_in_at],
    [address, data, undefined, undefined])
  assert.ok(user.invited_at && user.confirmation_sent_at)
  assert.deepEqual(user.identities.map((i) => i.provider), ['email'])
  assert.deepEqual(await server.sql('select name, role from public.profiles where id = $1', [user.id]),
    [{ name: 'Guest', role: 'Creator' }])
  const letter = await mail.to(address)
  assert.equal(letter.subject, 'You\'ve been invited')
  const link = new URL(letter.link)
  assert.deepEqual([link.searchParams.get('type'), link.searchParams.get('redirect_to')],
    ['invite', 'https://app.example.org'])
  const opened = await server.call(letter.link.slice(server.api.length), {})
  assert.equal(opened.status, 303, opened.text)
  const fragment = new URLSearchParams(new URL(opened.headers.location).hash.slice(1))
  const set = await server.auth('PUT', '/user', { token: fragment.get('access_token'),
    json: { password: 'a-first-word' } })
  assert.equal(set.status, 200, set.text)
  const login = await server.auth('POST', '/token?grant_type=password',
    { json: { email: address, password: 'a-first-word' } })
  assert.equal(login.json.user?.id, user.id)
})

test('again while nobody has answered: the same user, a new link', async () => {
  const address = email('twice')
  const [first, second] = [await invite({ email: address }), await invite({ email: address, data: { a: 1 } })]
  assert.equal(second.status, 200, second.text)
  assert.equal(second.json.id, first.json.id)
  const [one, two] = [(await mail.to(address)).link, (await mail.to(address)).link]
  assert.notEqual(one, two)
  assert.equal(await countUsers(server, address), 1)
})

test('a stranger who signs up an invited address sees nothing of the invitation', async () => {
  const address = email('hidden')
  const strict = await server.beside({ smtp_url: mail.url, mailer_autoconfirm: 'false',
    smtp_max_frequency: '0' })
  await invite({ email: address, data: { secret: 'plan' } })
  const answer = await strict.auth('POST', '/signup', { json: { email: address, password } })
  assert.equal(answer.status, 200, answer.text)
  assert.deepEqual([answer.json.user_metadata, answer.json.identities], [{}, []])
})

test('refusals', async () => {
  const user = await signedUp(server)
  await refused((version) => invite({ email: user.email }, { version }), 422, 'email_exists',
    'A user with this email address has already been registered')
  for (const json of [{}, { email: 'nobody' }, { email: 7 }, { email: email(), data: [] }])
    await refused((version) => invite(json, { version }), 400, 'validation_failed')
  await refused((version) => server.auth('POST', '/invite', { json: { email: email() }, version }),
    403, 'not_admin')
  await refused((version) => server.auth('POST', '/invite', { json: { email: email() },
    token: user.token, version }), 403, 'not_admin')
  const few = await server.beside({ smtp_url: mail.url, mailer_autoconfirm: 'false', rate_limits: 'on',
    rate_limit_email_sent: '1' })
  const send = (version) => few.service('POST', '/invite', { json: { email: email('few') }, version })
  assert.equal((await send('2024-01-01')).status, 200)
  await refused(send, 429, 'over_email_send_rate_limit')
  const picky = await server.beside({ smtp_url: mail.url, mailer_authorized_addresses: 'a@example.com' })
  await refused((version) => picky.service('POST', '/invite', { json: { email: email('few') }, version }),
    400, 'email_address_not_authorized')
})
