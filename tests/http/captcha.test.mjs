// SPDX-License-Identifier: Apache-2.0
// Captchas: who is asked for one, and what the provider's answers lead to. The provider is the
// test's own: it knows which tokens were earned, takes each once, and can be away, hang or lie.
import assert from 'node:assert/strict'
import { before, beforeEach, describe, test } from 'node:test'
import { command, email, password, scratch, signedUp, start } from '../lib/basalt.mjs'
import { refused } from '../lib/refused.mjs'
import { startUpstream } from '../lib/upstream.mjs'
import { patience, timed, waitFor } from '../lib/wait.mjs'

const SECRET = 'captcha-secret-of-this-test'

let server, plain, provider
const earned = new Set()
let tokens = 0

function solve() {
  const token = `solved-${++tokens}`
  earned.add(token)
  return token
}

function honest({ method, path, headers, form }) {
  assert.deepEqual([method, path], ['POST', '/siteverify'])
  assert.equal(headers['content-type'], 'application/x-www-form-urlencoded')
  if (form.secret !== SECRET)
    return { json: { success: false, 'error-codes': ['invalid-input-secret'] } }
  if (!earned.delete(form.response))
    return { json: { success: false, 'error-codes': ['invalid-input-response', 'timeout-or-duplicate'] } }
  return { json: { success: true, hostname: 'example.com', 'error-codes': [] } }
}

before(async () => {
  provider = await startUpstream(honest)
  plain = await start()
  server = await plain.beside({
    captcha_enabled: true, captcha_provider: 'turnstile', captcha_secret: SECRET,
    captcha_timeout: '500ms', captcha_verify_url: `${provider.url}/siteverify`,
  })
})

beforeEach(() => {
  provider.answer = honest
  provider.requests.length = 0
})

const with_ = (json, token = solve()) =>
  ({ ...json, gotrue_meta_security: { captcha_token: token } })
const login = (json, options = {}) =>
  server.auth('POST', '/token?grant_type=password', { json, ...options })

// An open breaker is closed by the first login that an answering provider lets in.
async function recovered() {
  provider.answer = honest
  const user = await signedUp(plain)
  await waitFor('a login', async () =>
    (await login(with_({ email: user.email, password }))).status === 200, 30_000, 100)
}

describe('with a captcha', () => {
  test('signing up and logging in work; the provider hears secret, token and address', async () => {
    const address = email()
    const token = solve()
    const up = await server.auth('POST', '/signup', { json: with_({ email: address, password }, token) })
    assert.equal(up.status, 200, up.text)
    assert.deepEqual(provider.requests[0].form,
      { secret: SECRET, response: token, remoteip: '127.0.0.1' })
    const again = await login(with_({ email: address, password }, ` ${solve()} `))
    assert.equal(again.status, 200, again.text)
    assert.equal(provider.requests.length, 2)
  })

  test('a token counts once', async () => {
    const user = await signedUp(plain)
    const json = with_({ email: user.email, password })
    assert.equal((await login(json)).status, 200)
    await refused((version) => login(json, { version }), 400, 'captcha_failed',
      'captcha protection: request disallowed (invalid-input-response, timeout-or-duplicate)')
  })
})

describe('without one', () => {
  const message = 'captcha protection: request disallowed (no captcha_token found in request)'
  const routes = [['/signup', { email: 'a@example.com', password }],
    ['/token?grant_type=password', { email: 'a@example.com', password }],
    ['/otp', { email: 'a@example.com' }], ['/magiclink', { email: 'a@example.com' }],
    ['/recover', { email: 'a@example.com' }], ['/resend', { email: 'a@example.com', type: 'signup' }]]

  for (const [target, json] of routes)
    test(`${target} is refused before anything is looked at`, async () => {
      for (const security of [undefined, {}, { captcha_token: '' }, { captcha_token: ' ' }, { captcha_token: 7 }])
        await refused((version) => server.auth('POST', target,
          { json: { ...json, gotrue_meta_security: security }, version }), 400, 'captcha_failed', message)
      assert.equal(provider.requests.length, 0)
    })

  test('a wrong one makes no user', async () => {
    const address = email()
    await refused((version) => server.auth('POST', '/signup',
      { json: with_({ email: address, password }, 'guessed'), version }), 400, 'captcha_failed')
    assert.deepEqual(await plain.sql('select 1 from auth.users where email = $1', [address]), [])
  })

  test('one that is no token is not sent on', async () => {
    await refused((version) => login(with_({ email: email(), password }, 'x'.repeat(9000)), { version }),
      400, 'captcha_failed')
    assert.equal(provider.requests.length, 0)
  })
})

describe('nobody asks', () => {
  test('administrators, refreshes, other grants and other routes', async () => {
    const user = await signedUp(plain)
    const asService = await server.service('POST', '/token?grant_type=password',
      { json: { email: user.email, password } })
    assert.equal(asService.status, 200, asService.text)
    const next = await server.auth('POST', '/token?grant_type=refresh_token',
      { json: { refresh_token: asService.json.refresh_token } })
    assert.equal(next.status, 200, next.text)
    for (const grant of ['pkce', 'id_token'])
      assert.notEqual((await server.auth('POST', `/token?grant_type=${grant}`, { json: {} })).json.code,
        'captcha_failed')
    const me = await server.auth('GET', '/user', { token: next.json.access_token })
    assert.equal(me.status, 200)
    assert.equal(provider.requests.length, 0)
  })
})

describe('a provider that fails', () => {
  const broken = 'captcha verification process failed'
  const cases = [
    ['is away', () => 'drop'],
    ['has an error', () => ({ status: 500, text: 'oops' })],
    ['answers something else', () => ({ json: { ok: true } })],
    ['answers no JSON', () => ({ text: '<html>' })],
    ['says neither yes nor no', () => ({ json: { success: 'true' } })],
    ['says too much', () => ({ json: { success: true, more: 'x'.repeat(100_000) } })],
    ['sends elsewhere', () => ({ status: 302, headers: { location: `${provider.url}/siteverify` } })],
  ]

  for (const [what, answer] of cases)
    test(`${what}: nobody passes`, async () => {
      provider.answer = answer
      await refused((version) => login(with_({ email: email(), password }), { version }),
        500, 'unexpected_failure', broken)
      await recovered()
    })

  test('hangs: nobody passes, and nobody waits long', async () => {
    provider.answer = 'hang'
    for (const version of [null, '2024-01-01']) {
      const { value, ms } = await timed(() => login(with_({ email: email(), password }), { version }))
      assert.equal(value.status, 500)
      assert.ok(ms < 1500 * patience, `${ms} ms`)
    }
    await recovered()
  })

  test('again and again: is not asked for a while, and is tried again', async () => {
    provider.answer = 'drop'
    for (let i = 0; i < 6; i++) assert.equal((await login(with_({ email: email(), password }))).status, 500)
    const asked = provider.requests.length
    const { value, ms } = await timed(() => login(with_({ email: email(), password })))
    assert.equal(value.status, 500)
    assert.equal(provider.requests.length, asked)
    assert.ok(ms < 300 * patience, `${ms} ms`)
    const { text } = await server.ops('/metrics')
    assert.match(text, /basalt_breaker_state\{name="captcha"\} 2/)
    await recovered()
  })

  test('the secret is in no log', () => assert.ok(!server.log().includes(SECRET)))
})

test('asked for without a secret the server does not start', async () => {
  const { code, stderr } = await command(['serve'], { data: `${scratch()}/data`,
    settings: { captcha_enabled: true, listen: '127.0.0.1:0', admin_listen: 'off' } })
  assert.notEqual(code, 0)
  assert.match(stderr, /captcha_secret/)
})

describe('on the app routes', () => {
  const routes = [['/auth/register', 201], ['/auth/signup', 200], ['/v1/auth/register', 201],
    ['/auth/emergency-register', 201], ['/auth/emergency-register-legacy', 201], ['/auth/flutter-register', 201]]
  const refusedApp = (answer) => {
    assert.equal(answer.status, 400, answer.text)
    assert.equal(answer.json.error, 'captcha_failed')
  }

  for (const [path, status] of routes) {
    test(`POST /api${path}`, async () => {
      const json = { email: email('app'), password }
      refusedApp(await server.app('POST', path, { json }))
      refusedApp(await server.app('POST', path, { json: { ...json, captcha_token: 'guessed' } }))
      const answer = await server.app('POST', path, { json: { ...json, captcha_token: solve() } })
      assert.equal(answer.status, status, answer.text)
    })
  }

  test('logging in and asking for a mail', async () => {
    const user = await signedUp(plain)
    for (const [path, json] of [['/auth/login', { email: user.email, password }],
      ['/v1/auth/login', { email: user.email, password }], ['/auth/flutter-login', { email: user.email, password }],
      ['/auth/forgot-password', { email: user.email }], ['/v1/auth/password-reset', { email: user.email }]]) {
      refusedApp(await server.app('POST', path, { json }))
      assert.equal((await server.app('POST', path, { json: { ...json, captcha_token: solve() } })).status, 200)
      assert.equal((await server.app('POST', path, { json: with_(json) })).status, 200)
      assert.equal((await server.app('POST', path, { json, headers: { apikey: server.keys.service } })).status, 200)
    }
    for (const path of ['/flutter-register', '/flutter-login'])
      refusedApp(await server.call(path, { method: 'POST', json: { email: email('app'), password } }))
  })

  test('without captchas the field is no obstacle', async () => {
    const json = { email: email('app'), password, captcha_token: 'whatever' }
    assert.equal((await plain.app('POST', '/auth/register', { json })).status, 201)
    assert.equal((await plain.app('POST', '/auth/login', { json })).status, 200)
  })
})
