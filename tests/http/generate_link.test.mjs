// SPDX-License-Identifier: Apache-2.0
// POST /auth/v1/admin/generate_link: links that the app hands over by its own means.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { countUsers, email, password, signedUp, start } from '../lib/basalt.mjs'
import { startMail } from '../lib/mail.mjs'
import { refused } from '../lib/refused.mjs'

let server, mail

before(async () => {
  mail = await startMail()
  server = await start({ settings: { smtp_url: mail.url, mailer_autoconfirm: 'false',
    site_url: 'https://app.example.org', uri_allow_list: 'https://other.example.org/**' } })
})

const generate = (json, more = {}) => server.service('POST', '/admin/generate_link', { json, ...more })
const made = async (json, more) => {
  const answer = await generate(json, more)
  assert.equal(answer.status, 200, answer.text)
  return answer.json
}
const confirmed = async (more = {}) => (await server.service('POST', '/admin/users',
  { json: { email: email('known'), password, email_confirm: true, ...more } })).json
const rowOf = async (id) => (await server.sql('select * from auth.users where id = $1', [id]))[0]
const properties = ['action_link', 'email_otp', 'hashed_token', 'redirect_to', 'verification_type']

function userOf(answer) {
  const { ...user } = answer
  for (const name of properties) delete user[name]
  return user
}

// The link and its parts belong together, and to what the database keeps.
async function wellFormed(answer, { type, column, verify = type, redirect = 'https://app.example.org' }) {
  for (const name of properties) assert.ok(answer[name], name)
  assert.match(answer.email_otp, /^\d{6}$/)
  assert.match(answer.hashed_token, /^[0-9a-f]{56}$/)
  assert.equal(answer.verification_type, type)
  assert.equal(answer.redirect_to, redirect)
  assert.equal(answer.action_link,
    `${server.api}/auth/v1/verify?token=${answer.hashed_token}&type=${verify}&redirect_to=${redirect}`)
  assert.equal((await rowOf(answer.id))[column], answer.hashed_token)
  const shown = await server.service('GET', `/admin/users/${answer.id}`)
  assert.deepEqual(userOf(answer), shown.json)
}

const verify = (json) => server.auth('POST', '/verify', { json })

describe('each type', () => {
  test('signup makes the user, unconfirmed; its link confirms them', async () => {
    const address = email('fresh')
    const answer = await made({ type: 'signup', email: address.toUpperCase(), password,
      data: { plan: 'gold' } })
    assert.equal(answer.email, address)
    assert.deepEqual(answer.user_metadata, { plan: 'gold' })
    assert.equal(answer.email_confirmed_at, undefined)
    await wellFormed(answer, { type: 'signup', column: 'confirmation_token' })
    const session = await verify({ type: 'signup', token_hash: answer.hashed_token })
    assert.equal(session.status, 200, session.text)
    assert.equal(session.json.user.id, answer.id)
    assert.ok(session.json.user.email_confirmed_at)
    const login = await server.auth('POST', '/token?grant_type=password', { json: { email: address, password } })
    assert.equal(login.status, 200, login.text)
  })

  test('signup of an unconfirmed user merges data and makes a new token; the old one is void', async () => {
    const address = email('again')
    const first = await made({ type: 'signup', email: address, password, data: { a: 1, b: 1 } })
    const second = await made({ type: 'signup', email: address, password: 'another-word', data: { b: 2 } })
    assert.equal(second.id, first.id)
    assert.deepEqual(second.user_metadata, { a: 1, b: 2 })
    assert.equal((await verify({ type: 'signup', token_hash: first.hashed_token })).status, 403)
    assert.equal((await verify({ type: 'signup', email: address, token: second.email_otp })).status, 200)
  })

  test('invite: invited, without a password', async () => {
    const answer = await made({ type: 'invite', email: email('guest'), data: { name: 'Guest' } })
    assert.ok(answer.invited_at)
    assert.ok(answer.confirmation_sent_at)
    await wellFormed(answer, { type: 'invite', column: 'confirmation_token' })
    assert.equal((await rowOf(answer.id)).encrypted_password, '')
    const again = await made({ type: 'invite', email: answer.email })
    assert.equal(again.id, answer.id)
    const session = await verify({ type: 'invite', token_hash: again.hashed_token })
    assert.equal(session.status, 200, session.text)
    assert.ok(session.json.user.email_confirmed_at)
  })

  test('magiclink: for somebody known; a signup for somebody new', async () => {
    const known = await confirmed()
    const answer = await made({ type: 'magiclink', email: known.email })
    assert.equal(answer.id, known.id)
    await wellFormed(answer, { type: 'magiclink', column: 'recovery_token' })
    assert.equal((await verify({ type: 'magiclink', token_hash: answer.hashed_token })).status, 200)
    const fresh = await made({ type: 'magiclink', email: email('fresh') })
    await wellFormed(fresh, { type: 'signup', column: 'confirmation_token' })
    assert.equal((await verify({ type: 'signup', token_hash: fresh.hashed_token })).status, 200)
  })

  test('recovery', async () => {
    const known = await confirmed()
    const answer = await made({ type: 'recovery', email: known.email })
    await wellFormed(answer, { type: 'recovery', column: 'recovery_token' })
    const session = await verify({ type: 'recovery', token_hash: answer.hashed_token })
    assert.equal(session.status, 200, session.text)
    const changed = await server.auth('PUT', '/user', { token: session.json.access_token,
      json: { password: 'after-recovery' } })
    assert.equal(changed.status, 200, changed.text)
  })

  test('email_change: the two links of one wish both count, those of an earlier one do not', async () => {
    const known = await confirmed()
    const wanted = email('wanted')
    const old = await made({ type: 'email_change_new', email: known.email, new_email: email('other') })
    const current = await made({ type: 'email_change_current', email: known.email, new_email: wanted })
    await wellFormed(current, { type: 'email_change_current', verify: 'email_change',
      column: 'email_change_token_current' })
    assert.equal(current.new_email, wanted)
    const other = await made({ type: 'email_change_new', email: known.email, new_email: wanted })
    await wellFormed(other, { type: 'email_change_new', verify: 'email_change',
      column: 'email_change_token_new' })
    assert.equal((await verify({ type: 'email_change', token_hash: old.hashed_token })).status, 403)
    const half = await verify({ type: 'email_change', token_hash: current.hashed_token })
    assert.equal(half.status, 200, half.text)
    assert.equal(half.json.access_token, undefined)
    const whole = await verify({ type: 'email_change', token_hash: other.hashed_token })
    assert.equal(whole.json.user?.email, wanted, whole.text)
  })

  test('no mail leaves, and the audit says who asked', async () => {
    const address = email('quiet')
    const answer = await made({ type: 'invite', email: address })
    await made({ type: 'magiclink', email: (await confirmed()).email })
    const rows = await server.sql(`select actor_kind from basalt.audit_event
      where name = 'user_invited' and subject_id = $1`, [answer.id])
    assert.deepEqual(rows, [{ actor_kind: 'service' }])
    assert.equal(mail.letters.length, 0)
  })
})

test('redirects: of the body, of the query; one that is not allowed is the site', async () => {
  const { email: address } = await confirmed()
  const to = 'https://other.example.org/welcome?x=1'
  const ask = (redirect_to, query = '') => server.service('POST', `/admin/generate_link${query}`,
    { json: { type: 'recovery', email: address, redirect_to } })
  for (const answer of [await ask(to), await ask(undefined, `?redirect_to=${encodeURIComponent(to)}`)]) {
    assert.equal(answer.json.redirect_to, to)
    assert.equal(new URL(answer.json.action_link).searchParams.get('redirect_to'), to)
  }
  for (const bad of ['https://evil.example.org/', 'https://app.example.org@evil.example.org/', 'javascript:alert(1)'])
    assert.equal((await ask(bad)).json.redirect_to, 'https://app.example.org', bad)
})

describe('refusals', () => {
  test('types, addresses, who is there and who is not', async () => {
    const known = await confirmed()
    const cases = [
      [{ type: 'sms', email: email() }, 400, 'validation_failed', /^Invalid email action link type/],
      [{ email: email() }, 400, 'validation_failed'],
      [{ type: 'signup', email: 'nobody', password }, 400, 'validation_failed'],
      [{ type: 'signup', password }, 400, 'validation_failed'],
      [{ type: 'signup', email: email() }, 400, 'validation_failed', 'Signup requires a valid password'],
      [{ type: 'signup', email: email(), password: 'short' }, 422, 'weak_password'],
      [{ type: 'signup', email: known.email, password }, 422, 'email_exists'],
      [{ type: 'invite', email: known.email }, 422, 'email_exists'],
      [{ type: 'recovery', email: email() }, 404, 'user_not_found', 'User with this email not found'],
      [{ type: 'email_change_new', email: email(), new_email: email() }, 404, 'user_not_found'],
      [{ type: 'email_change_current', email: known.email, new_email: 'x' }, 400, 'validation_failed'],
      [{ type: 'email_change_current', email: known.email }, 400, 'validation_failed'],
      [{ type: 'email_change_new', email: known.email, new_email: (await confirmed()).email }, 422,
        'email_exists'],
      [{ type: 'invite', email: email(), data: 'x' }, 400, 'validation_failed'],
    ]
    for (const [json, status, code, message] of cases) {
      await refused((version) => generate(json, { version }), status, code, message)
      if (json.email !== known.email) assert.equal(await countUsers(server, json.email ?? ''), 0)
    }
  })

  test('a link for the current address only where both are asked', async () => {
    const single = await server.beside({ secure_email_change: 'false' })
    const known = await confirmed()
    await refused((version) => single.service('POST', '/admin/generate_link', { version,
      json: { type: 'email_change_current', email: known.email, new_email: email() } }), 400,
    'validation_failed', 'Enable secure email change to generate link for current email')
  })

  test('nobody but administrators', async () => {
    const json = { type: 'recovery', email: (await confirmed()).email }
    await refused((version) => server.auth('POST', '/admin/generate_link', { json, version }), 403,
      'not_admin')
    assert.ok(signedUp)
  })
})

test('ten at once for one new address: one user', async () => {
  const address = email('crowd')
  const answers = await Promise.all(Array.from({ length: 10 }, () =>
    generate({ type: 'invite', email: address })))
  for (const { status } of answers) assert.ok([200, 409].includes(status), String(status))
  assert.equal(await countUsers(server, address), 1)
})
