// SPDX-License-Identifier: Apache-2.0
// A user's sessions, listed and ended: by the user, and by an administrator.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { loggedIn, refreshed, signedUp, start } from '../lib/basalt.mjs'
import { claimsOf } from '../lib/jwt.mjs'
import { refused } from '../lib/refused.mjs'

let server

before(async () => {
  server = await start()
})

const own = (token, more) => server.auth('GET', '/user/sessions', { token, ...more })
const end = (token, id, more) => server.auth('DELETE', `/user/sessions/${id}`, { token, ...more })
const idOf = (token) => claimsOf(token).session_id
const nobody = '00000000-0000-4000-8000-000000000000'

describe('own sessions', () => {
  test('are listed, the one used last first, and the current one is marked', async () => {
    const first = await signedUp(server)
    const login = await server.auth('POST', '/token?grant_type=password', {
      json: { email: first.email, password: first.password }, headers: { 'user-agent': 'a browser/<1>' } })
    const second = login.json
    await signedUp(server) // somebody else
    const next = (await refreshed(server, first.refresh)).json
    const answer = await own(next.access_token)
    assert.equal(answer.status, 200, answer.text)
    assert.equal(answer.headers['cache-control'], 'no-store')
    const { sessions } = answer.json
    assert.deepEqual(sessions.map((s) => s.id), [idOf(first.token), idOf(second.access_token)])
    assert.deepEqual(sessions.map((s) => s.current), [true, false])
    assert.deepEqual(Object.keys(sessions[0]),
      ['id', 'created_at', 'refreshed_at', 'user_agent', 'ip', 'aal', 'current'])
    assert.ok(Math.abs(Date.parse(sessions[0].refreshed_at) - Date.now()) < 60_000)
    assert.equal(sessions[1].refreshed_at, undefined)
    assert.equal(sessions[1].user_agent, 'a browser/<1>')
    assert.equal(sessions[1].ip, '127.0.0.1')
    assert.equal(sessions[1].aal, 'aal1')
  })

  test('what has expired is not listed', async () => {
    const user = await signedUp(server)
    const other = await loggedIn(server, user)
    await server.sql(`update auth.sessions set not_after = now() where id = $1`, [idOf(other.token)])
    assert.deepEqual((await own(user.token)).json.sessions.map((s) => s.id), [idOf(user.token)])
    const strict = await server.beside({ session_timebox: '1h' })
    await server.sql(`update auth.sessions set created_at = now() - interval '2 hours' where id = $1`, [idOf(user.token)])
    assert.deepEqual((await strict.auth('GET', '/user/sessions', { token: user.token })).json.sessions, [])
    await strict.stop()
  })

  test('one is ended: its token and refresh token are refused at once, the others go on', async () => {
    const user = await signedUp(server)
    const other = await loggedIn(server, user)
    assert.equal((await server.auth('GET', '/user', { token: other.token })).status, 200) // now cached
    const done = await end(user.token, idOf(other.token))
    assert.equal(done.status, 204, done.text)
    await refused((version) => server.auth('GET', '/user', { token: other.token, version }), 403, 'session_not_found')
    assert.equal((await refreshed(server, other.refresh)).json.code, 'refresh_token_not_found')
    assert.equal((await own(user.token)).json.sessions.length, 1)
    const [event] = await server.sql(`select payload->>'action' as action from auth.audit_log_entries
      where payload->>'actor_id' = $1 order by created_at desc limit 1`, [user.id])
    assert.equal(event.action, 'logout')
    assert.equal((await end(user.token, idOf(user.token))).status, 204, 'also the own one')
    assert.equal((await own(user.token)).status, 403)
  })

  test('of somebody else, of nobody, of no id: 404, and nothing ends', async () => {
    const user = await signedUp(server)
    const other = await signedUp(server)
    for (const id of [idOf(other.token), nobody])
      await refused((version) => end(user.token, id, { version }), 404, 'session_not_found')
    await refused((version) => end(user.token, 'x', { version }), 404, 'validation_failed')
    assert.equal((await server.auth('GET', '/user', { token: other.token })).status, 200)
  })

  test('without a token', async () => {
    for (const [method, path] of [['GET', '/user/sessions'], ['DELETE', `/user/sessions/${nobody}`]])
      await refused((version) => server.auth(method, path, { version, headers: { authorization: null } }),
        401, 'no_authorization')
  })
})

describe('an administrator', () => {
  test('lists and ends the sessions of a user', async () => {
    const user = await signedUp(server)
    const path = `/admin/users/${user.id}/sessions`
    const { sessions } = (await server.service('GET', path)).json
    assert.deepEqual(sessions.map((s) => [s.id, s.current]), [[idOf(user.token), false]])
    const other = await signedUp(server)
    await refused((version) => server.service('DELETE', `${path}/${idOf(other.token)}`, { version }), 404, 'session_not_found')
    assert.equal((await server.service('DELETE', `${path}/${idOf(user.token)}`)).status, 204)
    assert.equal((await server.auth('GET', '/user', { token: user.token })).status, 403)
    assert.deepEqual((await server.service('GET', path)).json.sessions, [])
  })

  test('and nobody else', async () => {
    const user = await signedUp(server)
    for (const [method, path] of [['GET', `/admin/users/${user.id}/sessions`],
      ['DELETE', `/admin/users/${user.id}/sessions/${idOf(user.token)}`]])
      await refused((version) => server.auth(method, path, { token: user.token, version }), 403, 'not_admin')
  })
})
