// SPDX-License-Identifier: Apache-2.0
// The authorization layers: for each one that exists a request that it alone refuses, with its code,
// its count and its event; and the ones that do not exist yet, which say so.
import { before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { email, loggedIn, password, refreshed, signedUp, start } from '../lib/basalt.mjs'
import { isRefusal, refused } from '../lib/refused.mjs'
import { patience, timed, waitFor } from '../lib/wait.mjs'

let server, user
const from = (ip, agent = 'test') => ({ 'x-forwarded-for': ip, 'user-agent': agent })
const proxied = { trusted_proxies: '127.0.0.1' }
const layers = async (on = server) => (await on.ops('/layers')).json
const counts = async (on) => Object.fromEntries(
  (await layers(on)).filter((l) => l.present).map((l) => [l.layer, l.refused]))
const me = (on, token, headers) => on.auth('GET', '/user', { token, headers })

// The request is refused by this layer and by no other, and leaves one event that names it.
async function only(layer, send, on = server) {
  const earlier = await counts(on)
  const answer = await send()
  const expected = { ...earlier, [layer]: earlier[layer] + 1 }
  assert.deepEqual(await counts(on), expected, answer.text)
  const told = () => on.events('audit').filter((line) => line.request_id === answer.headers['x-request-id'])
  const [event] = await waitFor(`the event of layer ${layer}`, () => told().length > 0 && told())
  assert.equal(told().length, 1)
  const detail = typeof event.detail === 'string' ? JSON.parse(event.detail) : event.detail
  assert.equal(detail.layer, layer)
  assert.equal(event.outcome, 'denied')
  return { answer, event }
}

before(async () => {
  server = await start()
  user = await signedUp(server)
})

test('the list: what is there and what is not', async () => {
  const list = await layers()
  assert.deepEqual(list.map((l) => l.layer), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  assert.deepEqual(list.filter((l) => !l.present).map((l) => l.layer), [3, 5, 6])
  for (const l of list.filter((row) => !row.present)) assert.equal(l.refused, undefined)
  for (let i = 0; i < 40; i++) await me(server, user.token)
  const measured = (await layers()).filter((l) => l.present && l.layer !== 8)
  for (const l of measured) assert.ok(l.measured > 0, l.name)
})

describe('1, ids', () => {
  test('one that is no UUID', async () => {
    const { answer } = await only(1, () => server.service('GET', '/admin/users/42'))
    isRefusal(answer, { status: 404, code: 'validation_failed', version: '2024-01-01',
      message: 'user_id must be an UUID' })
    await refused((version) => server.service('DELETE', '/admin/users/..%2f', { version }), 404,
      'validation_failed', 'user_id must be an UUID')
  })
})

describe('2, roles', () => {
  test('a user is no administrator', async () => {
    const { answer, event } = await only(2, () => server.auth('GET', '/admin/users', { token: user.token }))
    isRefusal(answer, { status: 403, code: 'not_admin', version: '2024-01-01' })
    assert.equal(event.actor_id, user.id)
  })
})

describe('4, context', () => {
  test('a session held to its network and program is of no use elsewhere', async () => {
    const bound = await server.beside({ ...proxied, session_binding: 'both' })
    const home = from('2001:db8:1:1::1', 'app/1')
    const answer = await bound.auth('POST', '/token?grant_type=password', {
      json: { email: user.email, password }, headers: home })
    const { access_token: token, refresh_token: refresh } = answer.json
    for (const neighbour of [home, from('2001:db8:1:1:ffff::2', 'app/1')])
      assert.equal((await me(bound, token, neighbour)).status, 200)
    const stolen = await only(4, () => me(bound, token, from('2001:db8:1:2::1', 'app/1')), bound)
    isRefusal(stolen.answer, { status: 403, code: 'session_context_changed', version: '2024-01-01' })
    await only(4, () => me(bound, token, from('2001:db8:1:1::1', 'curl')), bound)
    await refused((version) => bound.auth('GET', '/user', { token, version, headers: from('198.51.100.9') }),
      403, 'session_context_changed')
    const app = await bound.app('GET', '/auth/me', { token, headers: from('198.51.100.9') })
    assert.equal(app.status, 401, 'the apps\' clients log in anew')
    const renew = (headers) => bound.auth('POST', '/token?grant_type=refresh_token', {
      json: { refresh_token: refresh }, headers })
    isRefusal(await renew(from('198.51.100.9', 'app/1')), {
      status: 403, code: 'session_context_changed', version: '2024-01-01' })
    assert.equal((await renew(home)).status, 200, 'the refused attempt has spent nothing')
    assert.equal((await me(server, token)).status, 200, 'a node without the setting')
    await bound.close()
  })

  test('blocked networks, and those from which administrators work', async () => {
    const strict = await server.beside({
      ...proxied, blocked_addresses: '203.0.113.0/24, 2001:db8:bad::/48', service_addresses: '10.0.0.0/8' })
    const blocked = await only(4, () => strict.auth('GET', '/settings', { headers: from('203.0.113.77') }), strict)
    isRefusal(blocked.answer, { status: 403, code: 'address_blocked', version: '2024-01-01' })
    await refused((version) => strict.auth('GET', '/settings', { version, headers: from('2001:db8:bad:1::1') }),
      403, 'address_blocked')
    assert.equal((await strict.auth('GET', '/settings', { headers: from('198.51.100.1') })).status, 200)
    const list = (ip) => strict.service('GET', '/admin/users', { headers: from(ip) })
    assert.equal((await list('10.9.9.9')).status, 200)
    const named = await strict.service('GET', '/admin/users', {
      headers: { ...from('198.51.100.1'), 'sb-forwarded-for': '10.9.9.9' } })
    assert.equal(named.status, 403, 'the address that counts is the server\'s own')
    const away = await only(4, () => list('198.51.100.1'), strict)
    isRefusal(away.answer, { status: 403, code: 'address_not_allowed', version: '2024-01-01' })
    await refused((version) => strict.service('GET', '/settings', { version, headers: from('198.51.100.1') }),
      403, 'address_not_allowed')
    await strict.close()
  })

  test('lists that cannot be read stop the start', async () => {
    await assert.rejects(server.beside({ blocked_addresses: '10.0.0.0/33' }), /blocked_addresses/)
    await assert.rejects(server.beside({ service_addresses: 'home' }), /service_addresses/)
  })
})

describe('7, what is remembered', () => {
  test('a session that was ended, with a token that is still good', async () => {
    const other = await loggedIn(server, user)
    assert.equal((await me(server, other.token)).status, 200)
    await server.auth('POST', '/logout?scope=local', { token: other.token })
    const { answer } = await only(7, () => me(server, other.token))
    isRefusal(answer, { status: 403, code: 'session_not_found', version: '2024-01-01' })
  })
})

describe('8, audit', () => {
  test('refuses nobody, and notes who was refused', async () => {
    const { event } = await only(2, () => server.auth('GET', '/admin/users', { token: user.token }))
    assert.equal(event.name, 'unauthorized_access')
    assert.equal(event.ip, '127.0.0.1')
  })
})

describe('9, emergency', () => {
  const declare = async (mode, on = server) => {
    const done = await on.command(['emergency', ...(mode ? [mode] : [])])
    assert.equal(done.code, 0, done.stderr)
    return done.stdout.trim()
  }
  const mode = (on) => on.metric('basalt_emergency_mode')

  test('read-only: on every node within a moment, and sessions still end', async () => {
    const second = await server.beside()
    const signup = (on, version = '2024-01-01') =>
      on.auth('POST', '/signup', { json: { email: email(), password }, version })
    assert.equal(await declare(), 'off')
    await declare('read-only')
    for (const on of [server, second]) await waitFor('the emergency', async () => await mode(on) === 1)
    for (const on of [server, second]) {
      const { answer } = await only(9, () => signup(on), on)
      isRefusal(answer, { status: 503, code: 'emergency_read_only', version: '2024-01-01' })
      assert.equal(answer.headers['retry-after'], '30')
    }
    await refused((version) => signup(server, version), 503, 'emergency_read_only')
    assert.equal((await me(server, user.token)).status, 200)
    assert.equal((await refreshed(server, user.refresh)).status, 503)
    assert.equal((await server.auth('POST', '/logout?scope=others', { token: user.token })).status, 204)
    assert.equal(await declare(), 'read-only')
    await declare('off')
    for (const on of [server, second]) await waitFor('its end', async () => await mode(on) === 0)
    assert.equal((await signup(server)).status, 200)
    await second.close()
  })

  test('locked: administrators alone, also after a restart', async () => {
    const own = await start()
    await declare('locked', own)
    await waitFor('the emergency', async () => await mode(own) === 2)
    await own.restart()
    const { answer } = await only(9, () => own.auth('GET', '/settings'), own)
    isRefusal(answer, { status: 503, code: 'emergency_locked', version: '2024-01-01' })
    await refused((version) => own.auth('GET', '/settings', { version }), 503, 'emergency_locked')
    assert.equal((await own.service('GET', '/admin/users')).status, 200)
    assert.equal((await own.call('/auth/v1/health')).status, 200)
    await declare('off', own)
    await waitFor('its end', async () => await mode(own) === 0)
    assert.equal((await own.auth('GET', '/settings')).status, 200)

    // A word that nobody knows means the strictest.
    await own.sql("insert into basalt.setting values ('emergency', 'panic') "
      + "on conflict (name) do update set value = excluded.value")
    await waitFor('the strictest', async () => await mode(own) === 2)
    await own.sql("delete from basalt.setting where name = 'emergency'")
    await waitFor('its end', async () => await mode(own) === 0)
    await own.close()
  })

  test('another word is refused', async () => {
    const done = await server.command(['emergency', 'panic'])
    assert.equal(done.code, 2)
  })

  test('a database that is gone: writes are refused at once and before they cost anything', async () => {
    const own = await start()
    await signedUp(own)
    await own.forgetSql()
    process.kill(own.postmasterPid(), 'SIGKILL')
    const answer = await waitFor('a refusal by the layer', async () => {
      const earlier = (await counts(own))[9]
      const { value, ms } = await timed(() =>
        own.auth('POST', '/signup', { json: { email: email(), password } }))
      return value.status === 503 && (await counts(own))[9] > earlier && { value, ms }
    })
    isRefusal(answer.value, { status: 503, code: 'database_unavailable', version: '2024-01-01' })
    assert.ok(answer.ms < 150 * patience, `${answer.ms} ms`)
    assert.doesNotMatch(answer.value.headers['server-timing'], /hash|db/)
    await waitFor('the database', async () =>
      (await own.auth('POST', '/signup', { json: { email: email(), password } })).status === 200)
    await own.close()
  })
})

describe('10, rates', () => {
  test('a request too many', async () => {
    const limited = await server.beside({ ...proxied, rate_limits: 'on', rate_limit_token: '1/1h' })
    const login = () => limited.auth('POST', '/token?grant_type=password', {
      json: { email: user.email, password }, headers: from('198.51.100.3') })
    assert.equal((await login()).status, 200)
    const { answer, event } = await only(10, login, limited)
    isRefusal(answer, { status: 429, code: 'over_request_rate_limit', version: '2024-01-01' })
    assert.equal(event.name, 'rate_limit_exceeded')
    await limited.close()
  })
})
