// SPDX-License-Identifier: Apache-2.0
// Refresh tokens of version 2 (refresh_token_version 2): they count, and no row is written for them.
import assert from 'node:assert/strict'
import { createHash, createHmac } from 'node:crypto'
import { before, describe, test } from 'node:test'
import { refreshed, signedUp, start } from '../lib/basalt.mjs'
import { claimsOf } from '../lib/jwt.mjs'
import { refused } from '../lib/refused.mjs'
import { connect, close } from '../lib/sql.mjs'
import { mapAtOnce } from '../lib/wait.mjs'

let plain // version 1
let server // version 2, on the same database
let strict // and no reuse interval

before(async () => {
  plain = await start()
  server = await plain.beside({ refresh_token_version: 2 })
  strict = await plain.beside({ refresh_token_version: 2, refresh_reuse_interval: 0 })
})

const refresh = (to, token, version) => to.auth('POST', '/token?grant_type=refresh_token', {
  json: { refresh_token: token }, version })
const sessionOf = (token) => claimsOf(token).session_id
const row = async (token) => (await plain.sql(`select refresh_token_hmac_key as key,
  refresh_token_counter::int as counter from auth.sessions where id = $1`, [sessionOf(token)]))[0]
const tokenRows = async (token) => Number((await plain.sql(
  'select count(*) from auth.refresh_tokens where session_id = $1', [sessionOf(token)]))[0].count)

// By the specification, apart from the server's own code.
function make(session, counter, key) {
  const varint = []
  for (let n = counter; ; n = Math.floor(n / 128)) {
    varint.push((n % 128) + (n >= 128 ? 128 : 0))
    if (n < 128) break
  }
  const body = Buffer.concat([Buffer.from([0]), Buffer.from(session.replaceAll('-', ''), 'hex'),
    Buffer.from(varint)])
  const mac = createHmac('sha256', Buffer.from(key, 'base64url')).update(body).digest().subarray(0, 16)
  const signed = Buffer.concat([body, mac])
  const sum = createHash('sha256').update(signed).digest().subarray(0, 4)
  return Buffer.concat([signed, sum]).toString('base64url')
}

describe('version 2', () => {
  test('the token is what the specification says; refreshing counts and writes no row', async () => {
    const user = await signedUp(server)
    const { key, counter } = await row(user.token)
    assert.equal(counter, 0)
    assert.equal(Buffer.from(key, 'base64url').length, 32)
    assert.equal(user.refresh, make(sessionOf(user.token), 0, key))
    const next = await refreshed(server, user.refresh)
    assert.equal(next.status, 200, next.text)
    assert.equal(next.json.refresh_token, make(sessionOf(user.token), 1, key))
    assert.equal(next.headers['sb-auth-refresh-token-counter'], '1')
    assert.equal(next.headers['sb-auth-refresh-token-prefix'], undefined)
    assert.equal(next.headers['sb-auth-refresh-token-rotated'], 'true')
    assert.equal(next.headers['sb-auth-refresh-token-reuse'], 'false')
    assert.equal(next.headers['sb-auth-session-id'], sessionOf(user.token))
    assert.equal(sessionOf(next.json.access_token), sessionOf(user.token))
    assert.equal((await row(user.token)).counter, 1)
    assert.equal(await tokenRows(user.token), 0)
  })

  test('a large counter', async () => {
    const user = await signedUp(server)
    const { key } = await row(user.token)
    await plain.sql('update auth.sessions set refresh_token_counter = 300 where id = $1', [sessionOf(user.token)])
    const next = await refreshed(server, make(sessionOf(user.token), 300, key))
    assert.equal(next.json.refresh_token, make(sessionOf(user.token), 301, key))
  })

  test('the answer that got lost: the same child again, without a limit of time', async () => {
    const user = await signedUp(strict)
    const first = await refreshed(strict, user.refresh)
    const again = await refreshed(strict, user.refresh)
    assert.equal(again.status, 200, again.text)
    assert.equal(again.json.refresh_token, first.json.refresh_token)
    assert.equal(again.headers['sb-auth-refresh-token-reuse'], 'true')
    assert.equal(again.headers['sb-auth-refresh-token-reuse-cause'], 'fail-to-save')
    assert.equal(again.headers['sb-auth-refresh-token-rotated'], 'false')
    assert.equal((await row(user.token)).counter, 1)
  })

  test('an older one within the interval: the current one, else the session ends, and that stays', async () => {
    const user = await signedUp(server)
    const first = await refreshed(server, user.refresh)
    const second = await refreshed(server, first.json.refresh_token)
    const late = await refreshed(server, user.refresh)
    assert.equal(late.status, 200, late.text)
    assert.equal(late.json.refresh_token, second.json.refresh_token)
    assert.equal(late.headers['sb-auth-refresh-token-reuse-cause'], 'concurrent-refresh')
    assert.equal((await server.auth('GET', '/user', { token: user.token })).status, 200)

    assert.equal((await refresh(strict, user.refresh)).json.code, 'refresh_token_already_used')
    assert.equal(await row(user.token), undefined, 'the session is gone')
    for (const to of [strict, server])
      await refused((version) => refresh(to, second.json.refresh_token, version), 400,
        'refresh_token_not_found', 'Invalid Refresh Token: Refresh Token Not Found')
    await refused((version) => strict.auth('GET', '/user', { token: user.token, version }), 403, 'session_not_found')
  })

  for (const [what, settings, ends] of [['with rotation', {}, true], ['without', { refresh_rotation: 'false' }, false]]) {
    test(`reuse ${what}, in both dialects`, async () => {
      const to = await plain.beside({ refresh_token_version: 2, refresh_reuse_interval: 0, ...settings })
      await refused(async (version) => {
        const user = await signedUp(to)
        const second = await refreshed(to, (await refreshed(to, user.refresh)).json.refresh_token)
        const answer = await refresh(to, user.refresh, version)
        assert.equal(await row(user.token) === undefined, ends)
        assert.equal((await refreshed(to, second.json.refresh_token)).status, ends ? 400 : 200)
        return answer
      }, 400, 'refresh_token_already_used', 'Invalid Refresh Token: Already Used')
      await to.stop()
    })
  }

  test('allowed reuse', async () => {
    const to = await plain.beside({ refresh_token_version: 2, refresh_reuse_interval: 0, refresh_allow_reuse: 'true' })
    const user = await signedUp(to)
    const second = await refreshed(to, (await refreshed(to, user.refresh)).json.refresh_token)
    const old = await refreshed(to, user.refresh)
    assert.equal(old.json.refresh_token, second.json.refresh_token)
    assert.equal(old.headers['sb-auth-refresh-token-reuse-cause'], 'always-allow')
    await to.stop()
  })

  test('twenty at once: one counts, all get its child', async () => {
    const user = await signedUp(server)
    const answers = await mapAtOnce(Array(20).fill(user.refresh), 20, (token) => refreshed(server, token))
    assert.deepEqual([...new Set(answers.map((a) => a.status))], [200])
    assert.equal(new Set(answers.map((a) => a.json.refresh_token)).size, 1)
    assert.equal((await row(user.token)).counter, 1)
  })

  test('what this server has not issued', async () => {
    const user = await signedUp(server)
    const session = sessionOf(user.token)
    const { key } = await row(user.token)
    const other = Buffer.alloc(32, 7).toString('base64url')
    const cases = [
      [make(session, 1, key), 'validation_failed', 'Invalid Refresh Token: Not Issued By This Server'],
      [make(session, 0, other), 'refresh_token_not_found', 'Invalid Refresh Token: Refresh Token Not Found'],
      [make('00000000-0000-4000-8000-000000000000', 0, key), 'refresh_token_not_found', undefined],
      [user.refresh.slice(0, -1), 'validation_failed', 'Refresh token is not valid'],
      [`${user.refresh}A`, 'validation_failed', 'Refresh token is not valid'],
      [user.refresh.slice(0, 20) + (user.refresh[20] === 'A' ? 'B' : 'A') + user.refresh.slice(21),
        'validation_failed', 'Refresh token is not valid'],
      ['x'.repeat(4000), 'validation_failed', 'Refresh token is not valid'],
      [Buffer.alloc(60, 1).toString('base64url'), 'validation_failed', 'Refresh token is not valid'],
    ]
    for (const [token, code, message] of cases)
      await refused((version) => refresh(server, token, version), 400, code, message)
    assert.equal((await refreshed(server, user.refresh)).status, 200, 'none of it has ended the session')
  })

  test('a version 1 server takes it, and its own; a logout ends it', async () => {
    const user = await signedUp(server)
    const next = await refreshed(plain, user.refresh)
    assert.equal(next.status, 200, next.text)
    assert.equal(next.headers['sb-auth-refresh-token-counter'], '1')
    const old = await signedUp(plain)
    assert.match((await refreshed(server, old.refresh)).json.refresh_token, /^[a-z2-7]{12}$/)
    assert.equal((await server.auth('POST', '/logout', { token: user.token })).status, 204)
    await refused((version) => refresh(server, next.json.refresh_token, version), 400, 'refresh_token_not_found')
  })

  test('revoking by it: its session; all of them only by the current one', async () => {
    const revoke = (body) => server.app('POST', '/auth/revoke', { json: body })
    const user = await signedUp(server)
    const other = (await server.auth('POST', '/token?grant_type=password', {
      json: { email: user.email, password: user.password } })).json
    const next = (await refreshed(server, other.refresh_token)).json
    const forged = make(sessionOf(user.token), 0, Buffer.alloc(32, 7).toString('base64url'))
    assert.equal((await revoke({ refresh_token: forged, all: true })).status, 200) // nothing to guess
    assert.ok(await row(user.token))
    await revoke({ refresh_token: other.refresh_token, all: true }) // spent
    assert.equal(await row(next.access_token), undefined)
    assert.ok(await row(user.token))
    await revoke({ refresh_token: user.refresh, all: true })
    assert.equal(await row(user.token), undefined)
  })
})

describe('from version 1 to 2', () => {
  test('at its refresh a session begins to count; the former token is as good as lost', async () => {
    const to = await plain.beside({ refresh_token_version: 2, refresh_token_upgrade: 100, refresh_reuse_interval: 0 })
    const user = await signedUp(plain)
    const older = user.refresh
    const old = (await refreshed(plain, older)).json.refresh_token
    const next = await refreshed(to, old)
    assert.equal(next.status, 200, next.text)
    const { key } = await row(user.token)
    assert.equal(next.json.refresh_token, make(sessionOf(user.token), 0, key))
    assert.equal(next.headers['sb-auth-refresh-token-counter'], '0')
    const lost = await refreshed(to, old)
    assert.equal(lost.json.refresh_token, next.json.refresh_token)
    assert.equal(lost.headers['sb-auth-refresh-token-reuse-cause'], 'fail-to-save')
    const third = await refreshed(to, next.json.refresh_token)
    assert.equal(third.json.refresh_token, make(sessionOf(user.token), 1, key))
    assert.equal((await refreshed(to, older)).json.code, 'refresh_token_already_used')
    assert.equal(await row(user.token), undefined)
    await to.stop()
  })
})

test('a session that somebody else holds for five seconds: 409', async () => {
  const user = await signedUp(plain)
  const db = await connect(plain.db)
  await db.query('begin')
  await db.query('select id from auth.sessions where id = $1 for update', [sessionOf(user.token)])
  await refused((version) => refresh(plain, user.refresh, version), 409, 'conflict',
    'Too many concurrent token refresh requests on the same session or refresh token')
  await db.query('rollback')
  await close(db)
  assert.equal((await refreshed(plain, user.refresh)).status, 200)
})
