// SPDX-License-Identifier: Apache-2.0
// POST /auth/v1/signup: what it makes, what it refuses, in both dialects of errors.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { countUsers, email, password, signedUp, start } from '../lib/basalt.mjs'
import { claimsOf, headerOf } from '../lib/jwt.mjs'
import { refused } from '../lib/refused.mjs'

let server

before(async () => {
  server = await start()
})

const signup = (to, json, more) => to.auth('POST', '/signup', { json, ...more })
const isTime = (text) => assert.match(text, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/)

describe('signup with addresses confirmed at once', () => {
  test('answers a session in GoTrue\'s shape and order', async () => {
    const address = email()
    const from = Math.floor(Date.now() / 1000)
    const answer = await signup(server, { email: address.toUpperCase(), password,
      data: { name: 'Ada', role: 'Brand', color: 'teal' } })
    assert.equal(answer.status, 200, answer.text)
    assert.deepEqual(Object.keys(answer.json), ['access_token', 'token_type', 'expires_in',
      'expires_at', 'refresh_token', 'user'])
    const { user, ...session } = answer.json
    assert.deepEqual(Object.keys(user), ['id', 'aud', 'role', 'email', 'email_confirmed_at', 'phone',
      'confirmed_at', 'last_sign_in_at', 'app_metadata', 'user_metadata', 'identities', 'created_at',
      'updated_at', 'is_anonymous'])
    assert.equal(user.email, address)
    assert.equal(user.phone, '')
    assert.equal(user.is_anonymous, false)
    for (const name of ['email_confirmed_at', 'confirmed_at', 'last_sign_in_at', 'created_at',
      'updated_at']) isTime(user[name])
    const data = { sub: user.id, email: address, email_verified: false, phone_verified: false,
      name: 'Ada', role: 'Brand', color: 'teal' }
    assert.deepEqual(user.user_metadata, { ...data, email_verified: true })
    assert.deepEqual(user.app_metadata, { provider: 'email', providers: ['email'] })
    const [identity] = user.identities
    assert.equal(identity.id, user.id)
    assert.equal(identity.user_id, user.id)
    assert.match(identity.identity_id, /^[0-9a-f-]{36}$/)
    assert.deepEqual(identity.identity_data, data)
    assert.equal(identity.email, address)
    assert.match(session.refresh_token, /^[a-z2-7]{12}$/)
    assert.ok(session.expires_at >= from + 3600 && session.expires_at <= from + 3610)
    assert.equal(answer.headers['cache-control'], 'no-store')
    assert.equal(answer.headers['sb-auth-user-id'], user.id)
    assert.equal(answer.headers['sb-auth-session-id'], claimsOf(session.access_token).session_id)
    assert.equal(answer.headers['sb-auth-refresh-token-prefix'], session.refresh_token.slice(0, 5))
  })

  test('the token\'s claims are GoTrue\'s, in order', async () => {
    const user = await signedUp(server, { data: { n: 1 } })
    assert.deepEqual(headerOf(user.token), { alg: 'HS256', typ: 'JWT' })
    const claims = claimsOf(user.token)
    assert.deepEqual(Object.keys(claims), ['sub', 'aud', 'exp', 'iat', 'email', 'phone',
      'app_metadata', 'user_metadata', 'role', 'aal', 'amr', 'session_id', 'is_anonymous'])
    assert.equal(claims.sub, user.id)
    assert.equal(claims.aud, 'authenticated')
    assert.equal(claims.role, 'authenticated')
    assert.equal(claims.aal, 'aal1')
    assert.equal(claims.exp - claims.iat, 3600)
    assert.deepEqual(claims.amr, [{ method: 'password', timestamp: claims.iat }])
    assert.equal(claims.user_metadata.n, 1)
  })

  test('the profile takes known fields of the metadata, leniently', async () => {
    const cases = [
      [{ name: 'Ada', role: 'Creator', annual_income: 1200.5, timezone: 'UTC' },
        { name: 'Ada', role: 'Creator', annual_income: '1200.5', timezone: 'UTC' }],
      [{ name: 7, role: 'service_role', annual_income: -1, onboarding_completed: true },
        { name: null, role: 'basic_user', annual_income: null, timezone: null }],
      [undefined, { name: null, role: 'basic_user', annual_income: null, timezone: null }],
    ]
    for (const [data, wanted] of cases) {
      const user = await signedUp(server, { data })
      assert.deepEqual(await server.sql(`select name, role, annual_income, timezone,
        onboarding_completed from public.profiles where id = $1`, [user.id]),
      [{ ...wanted, onboarding_completed: false }])
    }
  })

  test('user, identity, profile, session, token and audit row: one of each', async () => {
    const user = await signedUp(server)
    const [row] = await server.sql(`select
      (select count(*)::int from auth.users where id = $1) as users,
      (select count(*)::int from auth.identities where user_id = $1) as identities,
      (select count(*)::int from public.profiles where id = $1) as profiles,
      (select count(*)::int from auth.sessions where user_id = $1) as sessions,
      (select count(*)::int from auth.mfa_amr_claims c join auth.sessions s on s.id = c.session_id
        where s.user_id = $1 and c.authentication_method = 'password') as claims,
      (select count(*)::int from auth.refresh_tokens where user_id = $1::text) as tokens,
      (select array_agg(payload ->> 'action' order by payload ->> 'action')
        from auth.audit_log_entries where payload ->> 'actor_id' = $1::text) as audit`, [user.id])
    assert.deepEqual(row, { users: 1, identities: 1, profiles: 1, sessions: 1, claims: 1, tokens: 1,
      audit: ['login', 'user_signedup'] })
    const [stored] = await server.sql('select encrypted_password from auth.users where id = $1',
      [user.id])
    assert.match(stored.encrypted_password, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  })

  test('metadata keeps its exact values; output escapes <, > and & as Go does', async () => {
    const data = { html: '<b>&amp;</b>', uni: 'żółć 😀 \u2028', nested: { a: [1, 2.5, null, true] },
      quote: '"\\/', big: 12345678901234, 'we ird': '' }
    const answer = await signup(server, { email: email(), password, data })
    assert.equal(answer.status, 200, answer.text)
    for (const [key, value] of Object.entries(data))
      assert.deepEqual(answer.json.user.user_metadata[key], value, key)
    assert.ok(!/[<>&]/.test(answer.text), 'unescaped')
    assert.ok(answer.text.includes('\\u003cb\\u003e\\u0026amp;'))
    assert.ok(answer.text.includes('😀'))
  })

  test('data cannot take the place of sub or email', async () => {
    const user = await signedUp(server, { data: { sub: 'evil', email: 'evil@example.com',
      email_verified: false, phone_verified: true } })
    const metadata = user.session.user.user_metadata
    assert.equal(metadata.sub, user.id)
    assert.equal(metadata.email, user.email)
    assert.equal(metadata.phone_verified, false)
  })

  test('unknown fields are ignored, Content-Type does not matter', async () => {
    const answer = await server.auth('POST', '/signup', {
      body: JSON.stringify({ email: email(), password, is_super_admin: true, id: 'x', role: 'x',
        gotrue_meta_security: { captcha_token: 'x' } }),
      headers: { 'content-type': 'text/plain' },
    })
    assert.equal(answer.status, 200, answer.text)
    assert.equal(answer.json.user.role, 'authenticated')
  })

  const cases = [
    ['a taken address', 422, 'user_already_exists', 'User already registered',
      async () => ({ email: (await signedUp(server)).email, password })],
    ['a weak password', 422, 'weak_password', 'Password should be at least 6 characters.',
      () => ({ email: email(), password: '12345' })],
    ['no password', 400, 'validation_failed', 'Signup requires a valid password',
      () => ({ email: email() })],
    ['both address and phone', 400, 'validation_failed', /Only an email address or phone number/,
      () => ({ email: email(), phone: '15551234567', password })],
    ['a phone', 400, 'phone_provider_disabled', undefined,
      () => ({ phone: '15551234567', password })],
    ['an address without @', 400, 'validation_failed',
      'Unable to validate email address: invalid format', () => ({ email: 'nobody', password })],
    ['an address with spaces', 400, 'validation_failed', /invalid format/,
      () => ({ email: ' a@example.com ', password })],
    ['an address with umlauts', 400, 'validation_failed', /invalid format/,
      () => ({ email: 'ü@example.com', password })],
    ['an address that is too long', 400, 'validation_failed', undefined,
      () => ({ email: `${'x'.repeat(250)}@example.com`, password })],
    ['an address that is a number', 400, undefined, undefined, () => ({ email: 5, password })],
    ['data that is a list', 400, undefined, undefined,
      () => ({ email: email(), password, data: [] })],
  ]
  for (const [what, status, code, message, body] of cases) {
    test(`${what} is ${status} ${code ?? ''}`, async () => {
      const json = await body()
      const before = await countUsers(server, json.email ?? '')
      if (code) {
        await refused((version) => signup(server, json, { version }), status, code, message)
      } else {
        assert.equal((await signup(server, json)).status, status)
      }
      assert.equal(await countUsers(server, json.email ?? ''), before)
    })
  }

  test('weak_password lists its reasons in both dialects', async () => {
    for (const version of [null, '2024-01-01']) {
      const answer = await signup(server, { email: email(), password: 'x' }, { version })
      assert.deepEqual(answer.json.weak_password, { reasons: ['length'] })
    }
  })

  test('only a well-formed version from 2024 on gets the new dialect', async () => {
    const ask = (version) => server.auth('GET', '/user', { token: 'x', version })
    for (const version of ['2024-01-01', '2024-01-02', '2026-11-30'])
      assert.equal((await ask(version)).json.code, 'bad_jwt', version)
    for (const version of ['2023-12-31', '20240101', '2024-1-1', 'latest', '2024-01-01 '])
      assert.equal((await ask(version)).json.code, version === '2024-01-01 ' ? 'bad_jwt' : 403,
        version)
  })
})

describe('bodies', () => {
  const bad = [
    ['nothing', ''], ['half an object', '{"email":'], ['a list', '[]'], ['a number', '7'],
    ['null', 'null'], ['two values', '{}{}'], ['a comment', '{/**/}'], ['single quotes', '{\'a\':1}'],
    ['NaN', '{"data":NaN}'], ['a key twice', '{"email":"a@b.c","email":"c@d.e"}'],
    ['a lone surrogate', '{"email":"\\ud800"}'],
    ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0x61, 0x22, 0x3a, 0x22, 0xff, 0x22, 0x7d])],
    ['overlong UTF-8', Buffer.from([0x7b, 0x22, 0x61, 0x22, 0x3a, 0x22, 0xc0, 0xaf, 0x22, 0x7d])],
    ['a NUL escape', '{"email":"a\\u0000@example.com","password":"12345678"}'],
    ['a NUL byte', '{"email":"a\0@example.com"}'],
    ['a byte order mark', '\ufeff{}'],
    ['depth 65', `{"data":${'['.repeat(64)}${']'.repeat(64)}}`],
    ['depth 100,000', `{"data":${'['.repeat(100_000)}`],
  ]
  for (const [what, body] of bad) {
    test(`${what} is 400 bad_json`, () => refused(
      (version) => server.auth('POST', '/signup', { body, version }), 400, 'bad_json'))
  }

  test('a NUL inside data is refused, whatever the depth', async () => {
    const json = { email: email(), password, data: { a: { b: 'x\0y' } } }
    await refused((version) => signup(server, json, { version }), 400, 'bad_json')
    await refused((version) => signup(server, { ...json, data: { 'a\0': 1 } }, { version }), 400,
      'bad_json')
  })

  test('just under 1 MiB passes the gate, more is 413', async () => {
    const limit = 1024 * 1024
    const of = (n) => JSON.stringify({ email: 'nobody', password, pad: 'x'.repeat(n) })
    const fits = await server.auth('POST', '/signup', { body: of(limit - of(0).length) })
    assert.equal(fits.status, 400, fits.text.slice(0, 200))
    await refused((version) => server.auth('POST', '/signup',
      { body: of(limit - of(0).length + 1), version }),
    413, 'request_entity_too_large')
  })

  test('metadata that no token could carry in a header is refused before anything is made',
    async () => {
      const fits = await signedUp(server, { data: { pad: 'x'.repeat(5000) } })
      assert.equal((await server.auth('GET', '/user', { token: fits.token })).status, 200)
      for (const size of [6000, 20_000, 900_000]) {
        const address = email('large')
        await refused((version) => signup(server, { email: address, password,
          data: { pad: 'x'.repeat(size) } }, { version }), 422, 'validation_failed',
        /^User metadata is too large/)
        assert.equal(await countUsers(server, address), 0)
      }
    })
})

describe('signup with addresses to be confirmed', () => {
  let strict

  before(async () => {
    strict = await server.beside({ mailer_autoconfirm: false, smtp_max_frequency: '0' })
  })

  test('answers the user without a session', async () => {
    const answer = await signup(strict, { email: email(), password, data: { a: 1 } })
    assert.equal(answer.status, 200, answer.text)
    assert.equal(answer.json.access_token, undefined)
    assert.equal(answer.json.email_confirmed_at, undefined)
    assert.equal(answer.json.confirmed_at, undefined)
    assert.equal(answer.json.identities.length, 1)
    assert.deepEqual(answer.json.user_metadata, { sub: answer.json.id, email: answer.json.email,
      email_verified: false, phone_verified: false, a: 1 })
    assert.deepEqual(await strict.sql('select id from auth.sessions where user_id = $1',
      [answer.json.id]), [])
  })

  test('login waits for the confirmation, by both doors', async () => {
    const address = email()
    await signup(strict, { email: address, password })
    await refused((version) => strict.auth('POST', '/token?grant_type=password',
      { json: { email: address, password }, version }), 400, 'email_not_confirmed',
    'Email not confirmed')
    const app = await strict.app('POST', '/auth/login', { json: { email: address, password } })
    assert.equal(app.status, 403)
    // a wrong password does not learn that the address is unconfirmed
    assert.equal((await strict.app('POST', '/auth/login',
      { json: { email: address, password: 'wrong-one' } })).status, 401)
  })

  test('register is 201 without tokens', async () => {
    const answer = await strict.app('POST', '/auth/register', { json: { email: email(), password } })
    assert.equal(answer.status, 201)
    assert.equal(answer.json.access_token, undefined)
    assert.match(answer.json.message, /verify your email/)
    assert.equal(answer.json.user.email_confirmed, false)
  })

  test('a taken, confirmed address looks like a new one, and nothing changes', async () => {
    const address = email('known')
    await strict.service('POST', '/admin/users',
      { json: { email: address, password, email_confirm: true, user_metadata: { mine: 1 } } })
    const before = await strict.sql('select * from auth.users where email = $1', [address])
    const fresh = await signup(strict, { email: email(), password, data: { a: 1 } })
    const answer = await signup(strict, { email: address, password: 'other-password',
      data: { a: 1 } })
    assert.equal(answer.status, 200)
    const user = answer.json
    assert.notEqual(user.id, before[0].id)
    assert.equal(user.role, '')
    assert.deepEqual(user.identities, [])
    assert.deepEqual(user.app_metadata, { provider: 'email', providers: ['email'] })
    assert.deepEqual(user.user_metadata, { a: 1 })
    assert.equal(user.email, address)
    assert.equal(user.created_at, user.updated_at)
    assert.equal(user.created_at, user.confirmation_sent_at)
    assert.equal(user.email_confirmed_at, undefined)
    assert.equal(user.last_sign_in_at, undefined)
    for (const key of Object.keys(fresh.json)) assert.ok(key in user, key)
    assert.deepEqual(await strict.sql('select * from auth.users where email = $1', [address]), before)
    const again = await signup(strict, { email: address, password, data: { a: 1 } })
    assert.notEqual(again.json.id, user.id, 'a fresh random id each time')
    assert.match(answer.headers['server-timing'], /hash/, 'costs a hash like a new one')
  })

  test('a taken, unconfirmed address stays as it is', async () => {
    const address = email('pending')
    const first = await signup(strict, { email: address, password, data: { a: 1 } })
    const second = await signup(strict, { email: address, password: 'other-one', data: { a: 2 } })
    assert.equal(second.status, 200)
    assert.equal(second.json.id, first.json.id)
    assert.equal(second.json.user_metadata.a, 1)
    await strict.command(['user', 'confirm', address])
    assert.equal((await strict.auth('POST', '/token?grant_type=password',
      { json: { email: address, password } })).status, 200)
  })
})

describe('settings', () => {
  test('signup can be off, passwords longer, e-mail off', async () => {
    const closed = await server.beside({ disable_signup: true, password_min_length: 12 })
    await refused((version) => signup(closed, { email: email(), password }, { version }), 422,
      'signup_disabled', 'Signups not allowed for this instance')
    assert.equal((await closed.call('/auth/v1/settings',
      { headers: { apikey: closed.keys.anon } })).json.disable_signup, true)
    const app = await closed.app('POST', '/auth/register', { json: { email: email(), password } })
    assert.equal(app.status, 403, 'the app\'s door is closed too')
    // an administrator still may, and creating checks no strength; updating does
    const made = await closed.service('POST', '/admin/users',
      { json: { email: email(), password: 'short', email_confirm: true } })
    assert.equal(made.status, 200, made.text)
    await refused((version) => closed.service('PUT', `/admin/users/${made.json.id}`,
      { json: { password: 'shorter' }, version }), 422, 'weak_password',
    'Password should be at least 12 characters.')
    const login = await closed.auth('POST', '/token?grant_type=password',
      { json: { email: made.json.email, password: 'short' } })
    assert.equal(login.status, 200, login.text)
    assert.deepEqual(login.json.weak_password, { reasons: ['length'],
      message: 'Password should be at least 12 characters.' })
    await closed.close()
  })

  test('e-mail off: 400 at signup, 422 at login; settings say so', async () => {
    const off = await server.beside({ email_enabled: false })
    await refused((version) => signup(off, { email: email(), password }, { version }), 400,
      'email_provider_disabled', 'Email signups are disabled')
    await refused((version) => off.auth('POST', '/token?grant_type=password',
      { json: { email: email(), password }, version }), 422, 'email_provider_disabled',
    'Email logins are disabled')
    const settings = await off.call('/auth/v1/settings', { headers: { apikey: off.keys.anon } })
    assert.equal(settings.json.external.email, false)
    assert.equal(settings.json.external.phone, false)
    assert.equal(settings.json.mailer_autoconfirm, true)
    await off.close()
  })
})
