// SPDX-License-Identifier: Apache-2.0
// Audit: which requests are events, what an event tells, and how soon it is durable.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { email, password, signedUp, start } from '../lib/basalt.mjs'
import { RawConnection } from '../lib/http.mjs'
import { claimsOf, sign } from '../lib/jwt.mjs'
import { events, node } from '../lib/journal.mjs'
import { pgProxy } from '../lib/pg_proxy.mjs'
import { patience, waitFor } from '../lib/wait.mjs'

let server

before(async () => {
  server = await start({ settings: { rate_limits: 'off' } })
})

const kept = (what, wanted) =>
  waitFor(what, () => events(server).find(wanted), 10_000, 5)
const byRequest = (answer, name) => kept(`${name} in the journal`, (event) =>
  event.request_id === answer.headers['x-request-id'] && event.name === name)
const login = (address, secret = 'wrong-Password-1', more = {}) =>
  server.auth('POST', '/token?grant_type=password', { json: { email: address, password: secret }, ...more })

describe('events without a change', () => {
  test('a failed login: whom it was about, from where, why; no address', async () => {
    const user = await signedUp(server)
    const answer = await login(user.email, undefined, { headers: { 'user-agent': 'Test/1 "quoted"' } })
    assert.equal(answer.status, 400)
    const event = await byRequest(answer, 'login_failed')
    assert.equal(event.category, 'authentication')
    assert.equal(event.outcome, 'failure')
    assert.equal(event.subject_id, user.id)
    assert.equal(event.actor_id, null)
    assert.equal(event.ip, '127.0.0.1')
    assert.equal(event.user_agent, 'Test/1 "quoted"')
    assert.equal(event.detail.reason, 'wrong_password')
    assert.ok(!JSON.stringify(event).includes(user.email))
    const line = await waitFor('its log line', () => server.events('audit').find((l) =>
      l.request_id === event.request_id && l.name === 'login_failed'))
    assert.equal(line.outcome, 'failure')
  })

  test('an unknown address: its hash alone', async () => {
    const address = email('nobody')
    const event = await byRequest(await login(address), 'login_failed')
    assert.equal(event.subject_id, null)
    assert.equal(event.detail.reason, 'unknown_user')
    assert.match(event.detail.email_hash, /^[0-9a-f]{16}$/)
    assert.ok(!JSON.stringify(event).includes(address))
  })

  test('banned and unconfirmed users', async () => {
    const banned = await signedUp(server)
    await server.service('PUT', `/admin/users/${banned.id}`, { json: { ban_duration: '1h' } })
    const event = await byRequest(await login(banned.email, banned.password), 'login_failed')
    assert.equal(event.detail.reason, 'user_banned')
    const fresh = email()
    await server.service('POST', '/admin/users', { json: { email: fresh, password } })
    assert.equal((await byRequest(await login(fresh, password), 'login_failed')).detail.reason,
      'email_not_confirmed')
  })

  test('a refused request names route, status and code, never the query', async () => {
    const answer = await server.call('/auth/v1/user?token=sesame')
    assert.equal(answer.status, 401)
    const event = await byRequest(answer, 'unauthorized_access')
    assert.deepEqual(event.detail, { code: 'no_api_key', status: 401, method: 'GET', route: '/auth/v1/user' })
    assert.equal(event.category, 'authorization')
    assert.equal(event.outcome, 'denied')
    assert.ok(!JSON.stringify(event).includes('sesame'))
  })

  test('a user in the place of an administrator is named', async () => {
    const user = await signedUp(server)
    const answer = await server.auth('GET', '/admin/users', { token: user.token })
    assert.equal(answer.status, 403)
    const event = await byRequest(answer, 'unauthorized_access')
    assert.equal(event.actor_id, user.id)
    assert.equal(event.actor_kind, 'user')
  })

  test('a forged token is a violation', async () => {
    const user = await signedUp(server)
    const [head, claims, signature] = user.token.split('.')
    const forged = `${head}.${claims}.${signature.replace(/^./, (c) => (c === 'A' ? 'B' : 'A'))}`
    const answer = await server.auth('GET', '/user', { token: forged })
    assert.equal(answer.status, 403)
    assert.equal((await byRequest(answer, 'security_violation')).outcome, 'denied')
  })

  test('a token that is over', async () => {
    const user = await signedUp(server)
    const claims = claimsOf(user.token)
    const token = sign({ ...claims, exp: claims.iat - 1 }, server.jwtSecret)
    const answer = await server.auth('GET', '/user', { token })
    assert.equal(answer.status, 403)
    assert.equal((await byRequest(answer, 'token_expired')).actor_id, null)
  })

  test('a rotated key', async () => {
    const rotated = await server.command(['key', 'rotate'])
    assert.equal(rotated.code, 0, rotated.stderr)
    const event = await kept('configuration_change', (e) => e.name === 'configuration_change')
    assert.equal(event.detail.keys, 1)
    assert.equal(events(server).filter((e) => e.name === 'configuration_change').length, 1)
  })

  test('what an administrator does is an admin_action, in its own transaction', async () => {
    const user = await signedUp(server)
    await server.service('PUT', `/admin/users/${user.id}`, { json: { user_metadata: { a: 1 } } })
    const [row] = await server.sql(`select name, category, outcome, actor_kind from basalt.audit_event
      where subject_id = $1 and actor_id is distinct from $1`, [user.id])
    assert.deepEqual(row, { name: 'user_modified', category: 'admin_action', outcome: 'success',
      actor_kind: 'service' })
  })

  test('too many requests', async () => {
    const own = await server.beside({ rate_limits: 'on', rate_limit_otp: '20' })
    const answers = await Promise.all(Array.from({ length: 80 }, () => own.auth('POST', '/signup', {
      json: { email: email(), password: 'x' } })))
    const limited = answers.find((answer) => answer.status === 429)
    assert.ok(limited, 'a signup was limited')
    await waitFor('rate_limit_exceeded in the journal', () => events(own).find((event) =>
      event.request_id === limited.headers['x-request-id'] && event.name === 'rate_limit_exceeded'))
  })

  test('a refresh token that does not exist', async () => {
    const answer = await server.auth('POST', '/token?grant_type=refresh_token',
      { json: { refresh_token: 'abcdefghijkl' } })
    assert.equal(answer.status, 400)
    assert.equal((await byRequest(answer, 'token_refresh_failed')).detail.code, 'refresh_token_not_found')
  })

  test('bytes that are no request', async () => {
    const raw = await RawConnection.open(server.api)
    raw.send('GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n')
    assert.equal((await raw.answer()).status, 400)
    const event = await kept('suspicious_activity', (e) => e.name === 'suspicious_activity')
    assert.equal(event.detail.status, 400)
  })

  test('the server\'s start', async () => {
    const event = await kept('server_started', (e) => e.name === 'server_started')
    assert.equal(event.category, 'system_event')
    assert.equal(event.sequence, 1)
  })

  test('durable within 50 ms of the answer, and the metric says so', async () => {
    const took = []
    for (let i = 0; i < 20; i++) {
      const before = await server.metric('basalt_audit_synced_sequence')
      await server.call('/auth/v1/user')
      const from = performance.now()
      await waitFor('the synced sequence', async () =>
        (await server.metric('basalt_audit_synced_sequence')) > before, 10_000, 1)
      took.push(performance.now() - from)
    }
    took.sort((a, b) => a - b)
    assert.ok(took[10] < 50 * 3 * patience, `${took[10]} ms`)
    assert.equal(await server.metric('basalt_audit_dropped_total'), 0)
  })
})

test('slow requests, changed settings and the stop are events; the sequence goes on', async () => {
  const own = await start({ settings: { slow_request: '1ms', rate_limits: 'off' } })
  await signedUp(own)
  await waitFor('slow_request', () => events(own).find((e) => e.name === 'slow_request' && e.detail.ms >= 1))
  await own.stop()
  const first = events(own)
  assert.equal(first.at(-1).name, 'server_stopped')
  own.settings.slow_request = '2s'
  await own.launch()
  const changed = await waitFor('configuration_change', () =>
    events(own).find((e) => e.name === 'configuration_change'))
  assert.deepEqual(changed.detail.settings, ['slow_request'])
  const all = events(own)
  assert.deepEqual(all.map((e) => e.sequence), all.map((e, i) => i + 1))
})

const ROWS = `select id, name, category, outcome, ip, user_agent, request_id, detail,
  sequence::int, hash, node, actor_id, actor_kind, subject_id,
  to_char(at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at
  from basalt.audit_event where node = $1 order by seq`

// What the journal tells is what the database holds, field by field and in the same order.
function same(journal, database) {
  assert.deepEqual(database.map((row) => row.sequence), journal.map((event) => event.sequence))
  for (const [i, row] of database.entries())
    for (const name of ['id', 'name', 'category', 'outcome', 'actor_id', 'actor_kind', 'subject_id',
      'at'])
      assert.equal(row[name], journal[i][name], `${name} of event ${row.sequence}`)
  for (const [i, row] of database.entries()) assert.deepEqual(row.detail, journal[i].detail ?? null)
}

describe('the shipper', () => {
  test('brings every event into the database, in order, with all fields', async () => {
    const last = await waitFor('some events', () => events(server).at(-1))
    const shipped = await waitFor('the last event in the database', async () => {
      const all = await server.sql(ROWS, [node(server)])
      return all.some((row) => row.id === last.id) && all
    })
    same(events(server).filter((e) => e.sequence <= shipped.at(-1).sequence), shipped)
  })

  test('works with a pool of one connection, whatever the requests do', async () => {
    const one = await server.beside({ pool_size: 1, rate_limits: 'off' })
    await Promise.all(Array.from({ length: 40 }, (_, i) => (i % 2 ? one.call('/auth/v1/user')
      : one.auth('POST', '/token?grant_type=password', { json: { email: email(), password } }))))
    await waitFor('40 events in the database', async () => (await one.sql(
      `select count(*)::int as n from basalt.audit_event where node = $1 and name in
       ('login_failed', 'unauthorized_access')`, [node(one)]))[0].n === 40)
  })

  test('waits while the database is away: nobody else waits, nothing is lost, the order stays', async () => {
    const proxy = await pgProxy(server.db)
    const own = await start({ databaseUrl: proxy.url, settings: { rate_limits: 'off' } })
    await waitFor('the first events shipped', async () => (await own.metric('basalt_audit_shipped_sequence')) > 0)
    proxy.cut()
    const from = performance.now()
    let slowest = 0
    let sent = 0
    while (performance.now() - from < 3000 && sent < 2000) {
      const begun = performance.now()
      assert.equal((await own.call(`/auth/v1/user?n=${sent}`)).status, 401)
      slowest = Math.max(slowest, performance.now() - begun)
      sent++
    }
    assert.ok(slowest < 500 * patience, `a request took ${slowest} ms`)
    const synced = await waitFor('all of them synced', async () => {
      const n = await own.metric('basalt_audit_synced_sequence')
      return n > sent && n
    })
    assert.ok(await own.metric('basalt_audit_shipped_sequence') < synced)
    proxy.mend()
    await waitFor('all of them shipped', async () =>
      (await own.metric('basalt_audit_shipped_sequence')) >= synced, 30_000)
    assert.equal(await own.metric('basalt_audit_dropped_total'), 0)
    same(events(own), (await server.sql(ROWS, [node(own)])))
    await own.stop()
    proxy.close()
  })

  test('ships after a restart what a killed server had only in its journal', async () => {
    const proxy = await pgProxy(server.db)
    const own = await start({ databaseUrl: proxy.url, settings: { rate_limits: 'off' } })
    await waitFor('the first events shipped', async () => (await own.metric('basalt_audit_shipped_sequence')) > 0)
    proxy.cut()
    for (let i = 0; i < 50; i++) await own.call('/auth/v1/user')
    const synced = await waitFor('them synced', async () => {
      const n = await own.metric('basalt_audit_synced_sequence')
      return n > 50 && n
    })
    await own.die()
    proxy.mend()
    await own.launch()
    await waitFor('all of them shipped', async () =>
      (await own.metric('basalt_audit_shipped_sequence')) > synced, 30_000)
    const journal = events(own)
    same(journal, (await server.sql(ROWS, [node(own)])).slice(0, journal.length))
    await own.stop()
    proxy.close()
  })

  test('seals everything, once', async () => {
    await signedUp(server)
    await waitFor('nothing left to seal', async () => (await server.sql(`
      select count(*)::int as n from basalt.audit_event e
      where id not in (select unnest(events) from basalt.audit_seal)`))[0].n === 0)
    const [twice] = await server.sql(`select count(*)::int as n from (
      select id from basalt.audit_seal, unnest(events) as id group by id having count(*) > 1) as d`)
    assert.equal(twice.n, 0)
  })
})
