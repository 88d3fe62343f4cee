// SPDX-License-Identifier: Apache-2.0
// The app routes about passwords: changed by the current one, set anew by what a mail brings; mails
// come from a real SMTP server. And the names that seed 003's clients have kept.
import assert from 'node:assert/strict'
import { afterEach, before, describe, test } from 'node:test'
import { email, password, start } from '../lib/basalt.mjs'
import { startMail } from '../lib/mail.mjs'
import * as sql from '../lib/sql.mjs'
import { mapAtOnce, patience, timed, waitFor } from '../lib/wait.mjs'

let admin, mail, server
const better = 'Better-horse-8'
const settings = { rate_limits: 'off', mailer_autoconfirm: 'true', smtp_max_frequency: '0',
  site_url: 'https://app.example.com', mailer_urlpaths_recovery: 'https://app.example.com/new-password' }

before(async () => {
  mail = await startMail()
  server = await start({ settings: { ...settings, smtp_url: mail.url } })
  admin = await sql.session(server.urlAs('supabase_admin', 'DB_ADMIN_PASSWORD'))
})

// Another node on the same database, as long as the test runs.
const nodes = []
async function beside(more) {
  nodes.push(await server.beside(more))
  return nodes.at(-1)
}
afterEach(() => Promise.all(nodes.splice(0).map((node) => node.stop())))

const post = (path, json, more = {}) => server.app('POST', path, { json, ...more })

async function registered() {
  const address = email('pw')
  const answer = await post('/auth/register', { email: address, password })
  assert.equal(answer.status, 201, answer.text)
  const { user_id: id, access_token: token, refresh_token: refresh } = answer.json
  return { id, email: address, token, refresh }
}

async function login(user, word = password) {
  const answer = await post('/auth/login', { email: user.email, password: word })
  return { status: answer.status, token: answer.json.access_token, refresh: answer.json.refresh_token }
}

const valid = async (token) => (await server.app('GET', '/auth/token/validate', { token })).status
const audited = async (id, name) => (await server.sql(
  'select 1 from basalt.audit_event where subject_id = $1 and name = $2', [id, name])).length

function refused(answer, status, error, words) {
  assert.equal(answer.status, status, answer.text)
  assert.equal(answer.json.error, error)
  if (words) assert.match(answer.json.message, words)
}

// The token and the code of a mail that was asked for.
async function asked(user, prefix = '/auth', path = '/forgot-password') {
  const answer = await post(prefix + path, { email: user.email })
  assert.equal(answer.status, 200, answer.text)
  const letter = await mail.to(user.email)
  const link = new URL(letter.link)
  return { token: link.searchParams.get('token'), code: letter.otp, link, letter }
}

for (const prefix of ['/auth', '/v1/auth']) {
  describe(`changing it under /api${prefix}`, () => {
    const change = (user, json) => server.app('POST', `${prefix}/change-password`, { token: user.token, json })

    test('the current password and a new one: other sessions end, this one stays', async () => {
      const user = await registered()
      const other = await login(user)
      const answer = await change(user, { current_password: password, new_password: better, confirm_password: better })
      assert.equal(answer.status, 200, answer.text)
      assert.equal(answer.json.message, 'Password changed successfully')
      assert.equal(await valid(user.token), 200)
      assert.equal(await valid(other.token), 401)
      assert.equal((await post('/auth/refresh', { refresh_token: other.refresh })).status, 401)
      assert.equal((await login(user)).status, 401)
      assert.equal((await login(user, better)).status, 200)
      assert.equal(await audited(user.id, 'user_updated_password'), 1)
    })

    test('what is refused changes nothing', async () => {
      const user = await registered()
      const ok = { current_password: password, new_password: better }
      refused(await change(user, { ...ok, current_password: 'not-the-one-1' }), 401, 'invalid_credentials',
        /^Current password is incorrect$/)
      refused(await change(user, { ...ok, new_password: password }), 400, 'same_password', /different/)
      for (const [more, words] of [
        [{ new_password: 'short1' }, /^new_password must be 8 to 128/],
        [{ new_password: `a1${'x'.repeat(127)}` }, /^new_password must be 8 to 128/],
        [{ new_password: 'onlyletters' }, /^new_password must contain at least one letter and one digit/],
        [{ new_password: '1234567890' }, /^new_password must contain/],
        [{ confirm_password: 'another-1' }, /^confirm_password does not match/],
        [{ new_password: undefined }, /new_password/],
        [{ current_password: undefined }, /current_password/],
        [{ new_password: 12345678 }, /new_password/],
        [{ role: 'admin' }, /role/],
      ]) {
        refused(await change(user, { ...ok, ...more }), 422, 'validation_failed', words)
      }
      refused(await server.app('POST', `${prefix}/change-password`, { token: user.token, body: '{' }), 400, 'bad_json')
      refused(await server.app('POST', `${prefix}/change-password`, { json: ok }), 401, 'no_authorization')
      assert.equal((await login(user)).status, 200)
      assert.equal(await audited(user.id, 'user_updated_password'), 0)
      const failed = await waitFor('the failed try', () => audited(user.id, 'login_failed')
        .then((n) => n || server.events('audit').some((e) => e.name === 'login_failed' && e.actor_id === user.id)))
      assert.ok(failed)
    })

    test('who has no password resets it by mail', async () => {
      const user = await registered()
      await server.sql(`update auth.users set encrypted_password = '' where id = $1`, [user.id])
      refused(await change(user, { current_password: 'x', new_password: better }), 400, 'validation_failed',
        /no password yet/)
    })

    test('of two changes at once one is told that it came late', async () => {
      const user = await registered()
      const answers = await Promise.all(['Better-horse-8', 'Better-horse-9'].map((new_password) =>
        change(user, { current_password: password, new_password })))
      const statuses = answers.map((answer) => answer.status).sort()
      assert.equal(statuses[0], 200)
      assert.ok([401, 409].includes(statuses[1]), String(statuses))
    })
  })

  describe(`setting it anew under /api${prefix}`, () => {
    test('the mail leads to the app, its token sets a password once and ends every session', async () => {
      const user = await registered()
      const { token, link, letter } = await asked(user, prefix)
      assert.equal(link.origin + link.pathname, 'https://app.example.com/new-password')
      assert.equal(link.searchParams.get('type'), 'recovery')
      assert.equal(letter.subject, 'Reset your password')
      assert.equal(await audited(user.id, 'user_recovery_requested'), 1)
      for (let i = 0; i < 2; i++) {
        const check = await post(`${prefix}/verify-reset-token`, { token })
        assert.equal(check.status, 200, check.text)
        assert.equal(check.json.valid, true)
      }
      const answer = await post(`${prefix}/reset-password`, { token, new_password: better, confirm_password: better })
      assert.equal(answer.status, 200, answer.text)
      assert.equal(answer.json.message, 'Password reset successfully')
      assert.equal(await valid(user.token), 401)
      assert.equal((await login(user)).status, 401)
      assert.equal((await login(user, better)).status, 200)
      assert.equal(await audited(user.id, 'password_reset_confirm'), 1)
      for (const path of ['/verify-reset-token', '/reset-password', '/password-reset-confirm'])
        refused(await post(prefix + path, { token, new_password: better, confirm_password: better }),
          400, 'otp_expired', /^Invalid or expired reset token$/)
    })

    test('the code of the mail does as well, with its address', async () => {
      const user = await registered()
      const { code } = await asked(user, prefix, '/password-reset')
      refused(await post(`${prefix}/verify-reset-token`, { token: code }), 422, 'validation_failed', /email/)
      refused(await post(`${prefix}/verify-reset-token`, { token: code, email: email('else') }), 400, 'otp_expired')
      assert.equal((await post(`${prefix}/verify-reset-token`,
        { token: code, email: user.email.toUpperCase() })).status, 200)
      const answer = await post(`${prefix}/password-reset-confirm`,
        { token: code, email: user.email, new_password: better, confirm_password: better })
      assert.equal(answer.status, 200, answer.text)
      assert.equal((await login(user, better)).status, 200)
    })

    test('password-reset-confirm asks for the password twice', async () => {
      refused(await post(`${prefix}/password-reset-confirm`, { token: 'x', new_password: better }),
        422, 'validation_failed', /^confirm_password is required/)
    })

    test('passwords that do not fit spend no token', async () => {
      const user = await registered()
      const { token } = await asked(user, prefix)
      for (const [new_password, confirm_password] of [['short1', 'short1'], ['onlyletters', 'onlyletters'],
        ['12345678', '12345678'], [`a1${'x'.repeat(127)}`, `a1${'x'.repeat(127)}`], [better, 'another-1']])
        refused(await post(`${prefix}/reset-password`, { token, new_password, confirm_password }),
          422, 'validation_failed', /_password/)
      refused(await post(`${prefix}/reset-password`, { new_password: better }), 422, 'validation_failed', /token/)
      refused(await server.app('POST', `${prefix}/reset-password`, { body: '' }), 400, 'bad_json')
      assert.equal((await post(`${prefix}/reset-password`, { token, new_password: better })).status, 200)
    })

    test('the same words for every address, and mail for those who are here alone', async () => {
      const user = await registered()
      const nobody = email('nobody')
      const answers = await mapAtOnce([user.email, nobody, user.email.toUpperCase()], 1,
        (address) => post(`${prefix}/forgot-password`, { email: address }))
      for (const answer of answers) {
        assert.equal(answer.status, 200)
        assert.deepEqual(answer.json, answers[0].json)
        assert.match(answer.json.message, /^If an account with that email exists/)
      }
      await mail.to(user.email)
      const [{ count }] = await admin.rows(
        `select count(*)::int as count from basalt.mail where recipient = $1`, [nobody])
      assert.equal(count, 0)
      refused(await post(`${prefix}/forgot-password`, { email: 'nobody' }), 422, 'validation_failed', /email/)
      refused(await post(`${prefix}/forgot-password`, {}), 422, 'validation_failed', /email/)
      refused(await server.app('POST', `${prefix}/forgot-password`, { body: '[]' }), 400, 'bad_json')
    })
  })
}

test('how long asking takes does not tell who is here', async () => {
  const user = await registered()
  const ms = { known: [], unknown: [] }
  for (let i = 0; i < 10; i++) {
    ms.known.push((await timed(() => post('/auth/forgot-password', { email: user.email }))).ms)
    ms.unknown.push((await timed(() => post('/auth/forgot-password', { email: email('nobody') }))).ms)
  }
  const median = (list) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)]
  for (const list of Object.values(ms)) assert.ok(Math.min(...list) >= 195, String(list))
  assert.ok(Math.abs(median(ms.known) - median(ms.unknown)) < 10 * patience * 3, JSON.stringify(ms))
})

test('limits on mail are silent here: they would tell that there is somebody', async () => {
  const node = await beside({ ...settings, smtp_url: mail.url, smtp_max_frequency: '1h' })
  const user = await registered()
  const before_ = mail.letters.length
  for (let i = 0; i < 3; i++) {
    const answer = await node.app('POST', '/auth/forgot-password', { json: { email: user.email } })
    assert.equal(answer.status, 200, answer.text)
  }
  await mail.to(user.email)
  const [{ count }] = await admin.rows('select count(*)::int as count from basalt.mail where recipient = $1', [user.email])
  assert.equal(count, 1)
  assert.ok(mail.letters.length > before_)
})

describe('tokens that are over', () => {
  const spend = (token, more = {}) => post('/auth/reset-password', { token, new_password: better, ...more })

  test('a newer one takes the place of the former', async () => {
    const user = await registered()
    const first = await asked(user)
    const second = await asked(user)
    refused(await spend(first.token), 400, 'otp_expired')
    assert.equal((await spend(second.token)).status, 200)
  })

  test('one that is too old', async () => {
    const user = await registered()
    const { token } = await asked(user)
    await server.sql(`update auth.users set recovery_sent_at = now() - interval '25 hours' where id = $1`, [user.id])
    refused(await spend(token), 400, 'otp_expired')
  })

  test('whose address has changed since', async () => {
    const user = await registered()
    const { token } = await asked(user)
    await server.sql('update auth.users set email = $2 where id = $1', [user.id, email('moved')])
    refused(await spend(token), 400, 'otp_expired')
  })

  test('after the password was changed', async () => {
    const user = await registered()
    const { token } = await asked(user)
    assert.equal((await server.app('POST', '/auth/change-password', { token: user.token,
      json: { current_password: password, new_password: better } })).status, 200)
    refused(await spend(token), 400, 'otp_expired')
  })

  test('of somebody who was banned or deleted meanwhile', async () => {
    const banned = await registered()
    const { token } = await asked(banned)
    await server.service('PUT', `/admin/users/${banned.id}`, { json: { ban_duration: '24h' } })
    refused(await spend(token), 400, 'otp_expired')
    const gone = await registered()
    const other = await asked(gone)
    await server.service('DELETE', `/admin/users/${gone.id}`)
    refused(await spend(other.token), 400, 'otp_expired')
  })

  test('nonsense', async () => {
    for (const token of ['x', '', 'f'.repeat(56), `pkce_${'f'.repeat(56)}`, '000000 ', '\u0000'.repeat(2)])
      assert.ok([400, 422].includes((await spend(token)).status), token)
    refused(await spend('000000', { email: email('nobody') }), 400, 'otp_expired')
  })

  test('of ten at once one sets the password', async () => {
    const user = await registered()
    const { token } = await asked(user)
    const answers = await Promise.all(Array.from({ length: 10 }, (_, i) =>
      post('/auth/reset-password', { token, new_password: `${better}${i}` })))
    assert.deepEqual(answers.map((a) => a.status).sort(), [200, ...Array(9).fill(400)])
    const winner = answers.findIndex((a) => a.status === 200)
    assert.equal((await login(user, `${better}${winner}`)).status, 200)
  })

  test('a mail proves an address that was not confirmed', async () => {
    const address = email('unproven')
    const made = await server.service('POST', '/admin/users', { json: { email: address, password } })
    assert.equal(made.status, 200, made.text)
    assert.equal((await login({ email: address })).status, 403)
    const { token } = await asked({ email: address })
    assert.equal((await spend(token)).status, 200)
    const user = (await server.service('GET', `/admin/users/${made.json.id}`)).json
    assert.ok(user.email_confirmed_at)
    assert.equal(user.user_metadata.email_verified, true)
    assert.equal(user.identities[0].identity_data.email_verified, true)
  })
})

test('codes are limited for each address, wherever they come from', async () => {
  const node = await beside({ ...settings, rate_limits: 'on', rate_limit_verify: 'off', rate_limit_address: 'off',
    rate_limit_codes: '5/5m', smtp_url: mail.url })
  const user = await registered()
  await node.app('POST', '/auth/forgot-password', { json: { email: user.email } })
  const guess = (i) => node.app('POST', '/auth/verify-reset-token',
    { json: { token: String(100000 + i), email: user.email } })
  for (let i = 0; i < 5; i++) assert.equal((await guess(i)).status, 400)
  const answer = await guess(6)
  refused(answer, 429, 'over_request_rate_limit')
  assert.ok(Number(answer.headers['retry-after']) >= 1)
})

test('guessing the current password with a stolen session is slowed as at the door', async () => {
  const node = await beside({ ...settings, rate_limits: 'on', rate_limit_token: 'off', rate_limit_address: 'off',
    rate_limit_user: 'off', rate_limit_resource: 'off', smtp_url: mail.url })
  const user = await registered()
  const guess = (i) => node.app('POST', '/auth/change-password',
    { token: user.token, json: { current_password: `guess-number-${i}`, new_password: better } })
  let last
  for (let i = 0; i < 40 && last?.status !== 429; i++) last = await guess(i)
  refused(last, 429, 'over_request_rate_limit')
  assert.ok(Number(last.headers['retry-after']) >= 1)
})

test('rules of the settings count on every route that sets a password', async () => {
  const node = await beside({ ...settings, password_blocklist: 'refuse', smtp_url: mail.url })
  const user = await registered()
  const weak = 'password123'
  const answers = [
    await node.app('POST', '/auth/register', { json: { email: email('weak'), password: weak } }),
    await node.app('POST', '/auth/change-password',
      { token: user.token, json: { current_password: password, new_password: weak } }),
    await node.app('POST', '/auth/reset-password', { json: { token: 'f'.repeat(56), new_password: weak } }),
  ]
  for (const answer of answers) refused(answer, 422, 'weak_password')
})

describe('names of seed 003', () => {
  const body = () => ({ email: email('flutter'), password: 'password123', country: 'US', annual_income: 50000,
    timezone: 'UTC', name: 'Ada', state: 'CA', zip_code: '94105' })
  const raw = (path, json) => server.call(path, { method: 'POST', json })

  for (const path of ['/api/auth/emergency-register', '/api/auth/emergency-register-legacy', '/flutter-register',
    '/api/auth/flutter-register', '/api/v1/auth/flutter-register', '/api/v1/auth/emergency-register',
    '/api/v1/auth/emergency-register-legacy']) {
    test(`POST ${path} registers, by the same rules`, async () => {
      const fields = body()
      const answer = await raw(path, fields)
      assert.equal(answer.status, 201, answer.text)
      assert.equal(answer.json.role, 'basic_user')
      assert.equal(answer.json.country, 'US')
      assert.equal(answer.json.state, 'CA')
      assert.equal(answer.json.zip_code, '94105')
      assert.equal(answer.json.token_type, 'bearer')
      assert.equal((await raw(path, fields)).status, 409)
      refused(await raw(path, { ...body(), password: 'short' }), 422, 'validation_failed', /password/)
      refused(await raw(path, { ...body(), is_admin: true }), 422, 'validation_failed', /is_admin/)
      refused(await raw(path, { ...body(), role: 'service_role' }), 422, 'validation_failed', /role/)
      for (const login of ['/flutter-login', '/api/auth/flutter-login', '/api/v1/auth/flutter-login']) {
        const entered = await raw(login, { email: fields.email, password: fields.password })
        assert.equal(entered.status, 200, entered.text)
        assert.equal(entered.json.user_id, answer.json.user_id)
        refused(await raw(login, { email: fields.email, password: 'not-the-one' }), 401, 'invalid_credentials',
          /^Invalid email or password$/)
      }
    })
  }

  test('they are not back doors: where signing up is off, it is off', async () => {
    const node = await beside({ ...settings, disable_signup: true })
    for (const path of ['/flutter-register', '/api/auth/emergency-register', '/api/auth/emergency-register-legacy'])
      refused(await node.call(path, { method: 'POST', json: body() }), 403, 'signup_disabled')
  })
})
