// SPDX-License-Identifier: Apache-2.0
// Limits by address, as clients see them: who is counted, what a refusal says, and the one switch.
import { before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { command, email, password, scratch, signedUp, start } from '../lib/basalt.mjs'
import { isRefusal } from '../lib/refused.mjs'

let server, open
let hosts = 0
const from = (ip) => ({ 'x-forwarded-for': ip })
const stranger = () => `198.51.100.${++hosts}`
const login = (on, ip, { version, ...more } = {}) =>
  on.auth('POST', '/token?grant_type=password', {
    json: { email: email('nobody'), password }, headers: from(ip), version, ...more })

before(async () => {
  open = await start()
  server = await open.beside({
    rate_limits: 'on', trusted_proxies: '127.0.0.1', rate_limit_token: '3/1h',
    rate_limit_otp: '2/1h', rate_limit_address: '5/1h', rate_limit_user: '4/1h',
  })
})

describe('by address', () => {
  test('the next is told so, in both dialects, and when to come back', async () => {
    const ip = stranger()
    for (let i = 0; i < 3; i++) assert.equal((await login(server, ip)).status, 400)
    for (const version of [null, '2024-01-01']) {
      const answer = await login(server, ip, { version })
      isRefusal(answer, { status: 429, code: 'over_request_rate_limit',
        message: 'Request rate limit reached', version })
      const wait = Number(answer.headers['retry-after'])
      assert.ok(wait > 1100 && wait <= 1200, `a third of an hour: ${wait}`)
      assert.equal(answer.headers['x-ratelimit-limit'], undefined)
    }
    assert.equal((await login(server, stranger())).status, 400, 'others are not counted')
    assert.ok(await server.metric('basalt_limit_refused_total{limit="token"}') >= 2)
  })

  test('each class has its own count', async () => {
    const ip = stranger()
    const signup = () => server.auth('POST', '/signup', {
      json: { email: email(), password }, headers: from(ip) })
    for (let i = 0; i < 2; i++) assert.equal((await signup()).status, 200)
    assert.equal((await signup()).status, 429)
    assert.equal((await login(server, ip)).status, 400)
  })

  test('a subscriber of IPv6 is one network', async () => {
    for (let i = 1; i <= 3; i++)
      assert.equal((await login(server, `2001:db8:7:7::${i}`)).status, 400)
    assert.equal((await login(server, '2001:db8:7:7:ffff::1')).status, 429)
    assert.equal((await login(server, '2001:db8:7:8::1')).status, 400)
  })

  test('a server with a secret key speaks for many', async () => {
    const ip = stranger()
    for (let i = 0; i < 5; i++)
      assert.equal((await login(server, ip, { key: server.keys.secret, token: server.keys.service })).status, 400)
  })

  test('nothing is read or hashed of what is refused', async () => {
    const ip = stranger()
    for (let i = 0; i < 3; i++) await login(server, ip)
    const answer = await login(server, ip, { json: undefined, body: '{' })
    assert.equal(answer.status, 429)
    assert.doesNotMatch(answer.headers['server-timing'], /db|hash/)
  })
})

describe('the app\'s routes', () => {
  test('say what is left', async () => {
    const ip = stranger()
    const user = await signedUp(open)
    const me = () => server.app('GET', '/auth/me', { token: user.token, headers: from(ip) })
    for (let i = 3; i >= 0; i--) {
      const answer = await me()
      assert.equal(answer.status, 200, answer.text)
      assert.equal(answer.headers['x-ratelimit-remaining'], String(i))
      assert.equal(answer.headers['x-ratelimit-limit'], '4')
      assert.ok(Number(answer.headers['x-ratelimit-reset']) <= 3600)
    }
    const byUser = await me()
    assert.equal(byUser.status, 429)
    assert.equal(byUser.json.error, 'over_request_rate_limit')
    assert.equal(byUser.json.detail, 'Request rate limit reached')
    assert.equal(byUser.json.status_code, 429)
    assert.equal(byUser.headers['x-ratelimit-remaining'], '0')
    assert.ok(Number(byUser.headers['retry-after']) > 0)
    const another = await server.app('GET', '/auth/me', { token: user.token, headers: from(stranger()) })
    assert.equal(another.status, 429, 'from wherever')
    const byAddress = await server.app('GET', '/auth/me', { headers: from(ip) })
    assert.equal(byAddress.status, 429, 'an address whoever it is')
    assert.equal((await server.app('GET', '/auth/health', { headers: from(ip) })).status, 200)
  })
})

describe('one resource', () => {
  test('is asked for so often by one client', async () => {
    const secret = 'a-secret-of-this-test-alone-0123456789'
    const e2e = await open.beside({ rate_limits: 'on', trusted_proxies: '127.0.0.1', e2e_testing: true,
      e2e_secret: secret, rate_limit_resource: '2/1m' })
    const get = (id, ip) => e2e.app('GET', `/v1/e2e/test-session/${id}`, {
      headers: { ...from(ip), 'x-e2e-secret': secret } })
    const ip = stranger(), id = crypto.randomUUID()
    for (let i = 0; i < 2; i++) assert.notEqual((await get(id, ip)).status, 429)
    const answer = await get(id, ip)
    assert.equal(answer.status, 429)
    assert.equal(answer.json.error, 'over_request_rate_limit')
    assert.equal(answer.headers['x-ratelimit-limit'], '2')
    assert.notEqual((await get(crypto.randomUUID(), ip)).status, 429, 'another resource')
    assert.notEqual((await get(id, stranger())).status, 429, 'another client')
    await e2e.close()
  })
})

describe('who the client is', () => {
  test('clients of a proxy that we were not told of are not locked out together', async () => {
    const untold = await open.beside({ rate_limits: 'on', rate_limit_token: '1/1h' })
    for (let i = 0; i < 3; i++) assert.equal((await login(untold, stranger())).status, 400)
    assert.equal(untold.events('limits.proxy').length, 1)
    const direct = () => untold.auth('POST', '/token?grant_type=password', {
      json: { email: email('nobody'), password } })
    assert.equal((await direct()).status, 400)
    assert.equal((await direct()).status, 429)
    await untold.close()
  })

  test('a header may name it', async () => {
    const named = await open.beside({ rate_limits: 'on', rate_limit_token: '1/1h' },
      { env: { GOTRUE_RATE_LIMIT_HEADER: 'X-Client' } })
    const call = (value) => named.auth('POST', '/token?grant_type=password', {
      json: { email: email('nobody'), password }, headers: { 'x-client': value } })
    assert.equal((await call('a, b')).status, 400)
    assert.equal((await call('a, c')).status, 429)
    assert.equal((await call('b')).status, 400)
    await named.close()
  })
})

describe('settings', () => {
  test('one switch turns all off', async () => {
    const off = await open.beside({ rate_limits: 'off', rate_limit_token: '1/1h' })
    for (let i = 0; i < 3; i++) assert.equal((await login(off, '203.0.113.1')).status, 400)
    await off.close()
  })

  test('0 refuses always, off never', async () => {
    const odd = await open.beside({ rate_limits: 'on', rate_limit_otp: '0', rate_limit_token: 'off' })
    const signup = await odd.auth('POST', '/signup', { json: { email: email(), password } })
    assert.equal(signup.status, 429)
    assert.equal((await login(odd, '203.0.113.1')).status, 400)
    await odd.close()
  })

  test('the defaults let thirty logins from one address through', async () => {
    const plain = await open.beside({ rate_limits: 'on' })
    const user = await signedUp(plain)
    for (let i = 0; i < 31; i++) {
      const answer = await plain.auth('POST', '/token?grant_type=password', {
        json: { email: user.email, password } })
      assert.equal(answer.status, 200, answer.text)
    }
    await plain.close()
  })

  test('the defaults do not count the machine itself; they do whoever a proxy names', async () => {
    const plain = await open.beside({ rate_limits: 'on', trusted_proxies: '127.0.0.1' })
    const ask = (ip) => plain.auth('POST', '/recover', { json: { email: email() },
      headers: ip && { 'x-forwarded-for': ip } })
    for (let i = 0; i < 40; i++) assert.equal((await ask()).status, 200)
    const told = []
    for (let i = 0; i < 40; i++) told.push((await ask('203.0.113.9')).status)
    assert.equal(told.indexOf(429), 30)
    await plain.close()
  })

  test('doctor warns of a public address without them', async () => {
    const say = async (settings) => (await command(['doctor'], {
      data: scratch(), settings: { listen: '0.0.0.0:8000', ...settings } })).stdout
    assert.match(await say({ rate_limits: 'off' }), /warn +nothing limits how often/)
    assert.match(await say({ lockout: 'off', lockout_account: 'off' }), /warn +nobody waits/)
    assert.match(await say({ rate_limit_header: 'X-Client' }), /warn +clients .* choose by whom/)
    assert.doesNotMatch(await say({}), /limits|waits|choose/)
  })

  test('one that cannot be read stops the start and is named', async () => {
    for (const value of ['many', '-1', '5/', '5/never', '9999999'])
      await assert.rejects(open.beside({ rate_limits: 'on', rate_limit_otp: value }),
        /rate_limit_otp must be a number/, value)
  })
})
