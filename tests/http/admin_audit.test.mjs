// SPDX-License-Identifier: Apache-2.0
// GET /auth/v1/admin/audit.
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { email, loggedIn, signedUp, start } from '../lib/basalt.mjs'
import { refused } from '../lib/refused.mjs'

let server
const address = email('audited')

before(async () => {
  server = await start()
  const user = await signedUp(server, { email: address })
  for (let i = 0; i < 4; i++) await loggedIn(server, user)
  await signedUp(server)
})

const audit = (query = '', more = {}) => server.service('GET', `/admin/audit${query}`, more)

test('entries as GoTrue has them, newest first', async () => {
  const answer = await audit()
  assert.equal(answer.status, 200, answer.text)
  assert.ok(answer.json.length >= 8)
  const [entry] = answer.json
  assert.deepEqual(Object.keys(entry), ['id', 'payload', 'created_at', 'ip_address'])
  assert.match(entry.created_at, /^\d{4}-.*Z$/)
  assert.equal(entry.ip_address, '')
  for (const { payload } of answer.json)
    for (const key of ['actor_id', 'actor_via_sso', 'actor_username', 'action', 'log_type'])
      assert.ok(key in payload, JSON.stringify(payload))
  const times = answer.json.map((e) => e.created_at)
  assert.deepEqual(times, [...times].sort().reverse())
  assert.equal(answer.headers['x-total-count'], String(answer.json.length))
})

test('by author, action and type, in any letter case; pages keep the query', async () => {
  const logins = await audit(`?query=author:${address.toUpperCase()}&page=1&per_page=2`)
  assert.equal(logins.headers['x-total-count'], '6')
  assert.equal(logins.json.length, 2)
  assert.equal(logins.headers.link,
    `</admin/audit?page=2&per_page=2&query=author:${address.toUpperCase()}>; rel="next", ` +
    `</admin/audit?page=3&per_page=2&query=author:${address.toUpperCase()}>; rel="last"`)
  for (const [query, field, word] of [['action:login', 'action', 'login'],
    ['type:team', 'log_type', 'team']]) {
    const { json } = await audit(`?query=${query}`)
    assert.ok(json.length > 0)
    assert.ok(json.every((e) => e.payload[field] === word), query)
  }
  for (const nothing of ['action:%25', "author:' or '1'='1", 'author:nobody-at-all'])
    assert.deepEqual((await audit(`?query=${encodeURIComponent(nothing)}`)).json, [], nothing)
  const beyond = await audit('?page=99')
  assert.deepEqual(beyond.json, [])
})

test('refusals', async () => {
  for (const query of ['?query=login', '?query=ip:1', '?query=payload:x', '?page=-1', '?per_page=x'])
    await refused((version) => audit(query, { version }), 400, 'validation_failed')
  const user = await signedUp(server)
  await refused((version) => server.auth('GET', '/admin/audit', { token: user.token, version }), 403,
    'not_admin')
})
