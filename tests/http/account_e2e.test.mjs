// SPDX-License-Identifier: Apache-2.0
// Users for end-to-end tests: off unless switched on, then for the service key or the secret alone; real
// users with real sessions, in under two seconds, and gone without a trace.
import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { afterEach, before, describe, test } from 'node:test'
import { command, email, password, scratch, signedUp, start } from '../lib/basalt.mjs'
import { claimsOf } from '../lib/jwt.mjs'
import * as sql from '../lib/sql.mjs'
import { mapAtOnce, patience, timed, waitFor } from '../lib/wait.mjs'

const secret = randomBytes(24).toString('hex')
let admin, server

before(async () => {
  server = await start({ settings: { e2e_testing: true, e2e_secret: secret } })
  admin = await sql.session(server.urlAs('supabase_admin', 'DB_ADMIN_PASSWORD'))
})

// Another node on the same database, as long as the test runs.
const nodes = []
async function beside(more) {
  nodes.push(await server.beside(more))
  return nodes.at(-1)
}
afterEach(() => Promise.all(nodes.splice(0).map((node) => node.stop())))

const call = (method, path, { on = server, headers = {}, json } = {}) =>
  on.app(method, `/v1/e2e${path}`, { json, headers })
const key = () => ({ authorization: `Bearer ${server.keys.service}` })
const asService = (method, path, more = {}) => call(method, path, { headers: key(), ...more })

function refused(answer, status, error, words) {
  assert.equal(answer.status, status, answer.text)
  assert.equal(answer.json.error, error)
  if (words) assert.match(answer.json.message, words)
}

async function begun(json) {
  const answer = await asService('POST', '/test-session', { json })
  assert.equal(answer.status, 200, answer.text)
  return answer.json
}

const some = '/test-session/00000000-0000-4000-8000-000000000001'
const guarded = [['POST', '/test-session'], ['GET', some], ['GET', `${some}/token`], ['DELETE', some],
  ['POST', '/cleanup-expired'], ['GET', '/status']]

const leftOf = async (id) => (await admin.rows(`select
  (select count(*)::int from auth.users where id = $1) as users,
  (select count(*)::int from auth.identities where user_id = $1) as identities,
  (select count(*)::int from auth.sessions where user_id = $1) as sessions,
  (select count(*)::int from public.profiles where id = $1) as profiles,
  (select count(*)::int from basalt.e2e_session where user_id = $1) as entries`, [id]))[0]
const nothing = { users: 0, identities: 0, sessions: 0, profiles: 0, entries: 0 }

describe('who may', () => {
  test('off by default: everything but its health is 403, whatever is shown', async () => {
    const node = await beside({})
    for (const [method, path] of guarded)
      for (const headers of [{}, key(), { 'x-e2e-secret': secret }])
        refused(await call(method, path, { on: node, headers }), 403, 'e2e_disabled', /^E2E testing is disabled/)
    for (const path of ['', '/health']) {
      const answer = await call('GET', path, { on: node })
      assert.equal(answer.status, 200)
      assert.deepEqual([answer.json.enabled, answer.json.status], [false, 'disabled'])
    }
    assert.doesNotMatch(node.stdout, /e2e/)
  })

  test('on, it takes the service key, the secret key or the secret', async () => {
    for (const headers of [key(), { apikey: server.keys.secret }, { 'x-e2e-secret': secret },
      { authorization: `Bearer ${server.keys.secret}` }])
      assert.equal((await call('GET', '/status', { headers })).status, 200)
    assert.match(server.stdout, /\/api\/v1\/e2e: not for production/)
    const health = await call('GET', '/health')
    assert.deepEqual([health.json.enabled, health.json.status], [true, 'enabled'])
  })

  test('and nothing else', async () => {
    const user = await signedUp(server)
    for (const [method, path] of guarded) {
      refused(await call(method, path), 401, 'no_authorization')
      refused(await call(method, path, { headers: { 'x-e2e-secret': `${secret}x` } }), 401, 'no_authorization')
      refused(await call(method, path, { headers: { 'x-e2e-secret': '' } }), 401, 'no_authorization')
      for (const token of [server.keys.anon, server.keys.publishable, user.token])
        refused(await call(method, path, { headers: { authorization: `Bearer ${token}` } }), 403, 'not_admin')
      refused(await call(method, path, { headers: { authorization: 'Bearer x.y.z' } }), 403, 'bad_jwt')
    }
  })

  test('without a secret configured none is right', async () => {
    const node = await beside({ e2e_testing: true })
    for (const sent of ['', 'null', secret])
      refused(await call('GET', '/status', { on: node, headers: { 'x-e2e-secret': sent } }), 401, 'no_authorization')
  })

  test('a short secret stops the start, and doctor warns at a public address', async () => {
    const short = await command(['serve', '--data', `${scratch()}/data`],
      { settings: { listen: '127.0.0.1:0', admin_listen: 'off', e2e_testing: true, e2e_secret: 'short' } })
    assert.equal(short.code, 2)
    assert.match(short.stderr, /e2e_secret is too short/)
    const doctor = await server.command(['doctor'], { settings: { listen: '0.0.0.0:8000', e2e_testing: true } })
    assert.match(doctor.stdout, /MEND .*users for tests/)
    assert.equal(doctor.code, 1)
  })
})

describe('a test session', () => {
  test('is a real user with a real session, in under two seconds', async () => {
    const { value: json, ms } = await timed(() => begun({ test_name: 'checkout', credits: 5 }))
    assert.ok(ms < 2000 * patience, `${ms} ms`)
    assert.equal(json.success, true)
    assert.match(json.test_user_email, /^e2e_test_checkout_\d+@e2e\.velro\.test$/)
    assert.equal(json.credits, 5)
    assert.equal(json.status, 'active')
    assert.equal(Date.parse(json.session_expires_at) - Date.parse(json.start_time), 3600_000)
    assert.equal(claimsOf(json.access_token).app_metadata.e2e_test, true)
    const me = await server.app('GET', '/auth/me', { token: json.access_token })
    assert.equal(me.status, 200, me.text)
    assert.equal(me.json.id, json.test_user_id)
    assert.equal(me.json.role, 'basic_user')
    assert.equal((await server.auth('GET', '/user', { token: json.access_token })).status, 200)
    assert.equal((await server.app('POST', '/auth/refresh',
      { json: { refresh_token: json.refresh_token } })).status, 200)

    const got = await asService('GET', `/test-session/${json.session_id}`)
    assert.equal(got.status, 200, got.text)
    assert.equal(got.json.test_user_id, json.test_user_id)
    assert.equal(got.json.status, 'active')
    assert.equal(got.json.access_token, undefined)

    const token = await asService('GET', `/test-session/${json.session_id}/token`)
    assert.equal(token.status, 200, token.text)
    assert.equal(token.headers['cache-control'], 'no-store')
    assert.equal(claimsOf(token.json.token).session_id, claimsOf(json.access_token).session_id)
    assert.equal((await server.app('GET', '/auth/me', { token: token.json.token })).status, 200)

    const ended = await asService('DELETE', `/test-session/${json.session_id}`)
    assert.equal(ended.status, 200, ended.text)
    assert.equal(ended.json.status, 'cleaned_up')
    assert.deepEqual(await leftOf(json.test_user_id), nothing)
    assert.equal((await server.app('GET', '/auth/me', { token: json.access_token })).status, 401)
    for (const [method, tail] of [['GET', ''], ['GET', '/token'], ['DELETE', '']])
      refused(await asService(method, `/test-session/${json.session_id}${tail}`), 404, 'e2e_session_not_found')
    assert.equal((await server.sql(
      `select 1 from basalt.audit_event where subject_id = $1 and name = 'user_deleted'`, [json.test_user_id])).length, 1)
  })

  test('has defaults, and two of one name are two users', async () => {
    const sessions = await mapAtOnce(Array.from({ length: 10 }), 10, () => begun())
    assert.equal(new Set(sessions.map((s) => s.test_user_id)).size, 10)
    for (const json of sessions) {
      assert.match(json.test_user_email, /^e2e_test_default_\d+@/)
      assert.equal(json.credits, 10000)
      assert.equal((await asService('DELETE', `/test-session/${json.session_id}`)).status, 200)
    }
  })

  test('takes what fits', async () => {
    for (const [json, words] of [[{ test_name: 'a b' }, /test_name/], [{ test_name: '' }, /test_name/],
      [{ test_name: 'x@y' }, /test_name/], [{ test_name: 'x'.repeat(41) }, /test_name/], [{ test_name: 5 }, /test_name/],
      [{ credits: -1 }, /credits/], [{ credits: 1e10 }, /credits/], [{ credits: 'many' }, /credits/],
      [{ email: 'a@example.com' }, /email/]])
      refused(await asService('POST', '/test-session', { json }), 422, 'validation_failed', words)
    refused(await server.app('POST', '/v1/e2e/test-session', { headers: key(), body: '{' }), 400, 'bad_json')
    for (const id of ['x', randomUUID()])
      refused(await asService('GET', `/test-session/${id}`), 404, 'e2e_session_not_found')
  })

  test('removes nobody but its own', async () => {
    const user = await signedUp(server, { email: email('person') })
    refused(await asService('DELETE', `/test-session/${user.id}`), 404, 'e2e_session_not_found')
    assert.equal((await server.auth('GET', '/user', { token: user.token })).status, 200)
  })

  test('that was logged out gives no token, and still goes', async () => {
    const json = await begun()
    await server.app('POST', '/auth/logout', { token: json.access_token })
    assert.equal((await asService('GET', `/test-session/${json.session_id}`)).json.status, 'expired')
    refused(await asService('GET', `/test-session/${json.session_id}/token`), 404, 'e2e_session_not_found')
    assert.equal((await asService('DELETE', `/test-session/${json.session_id}`)).status, 200)
  })

  test('whose user an administrator has removed is not found, and swept later', async () => {
    const json = await begun()
    await server.service('DELETE', `/admin/users/${json.test_user_id}`)
    refused(await asService('GET', `/test-session/${json.session_id}`), 404, 'e2e_session_not_found')
    await admin.rows('update basalt.e2e_session set expires_at = now() where id = $1', [json.session_id])
    assert.equal((await asService('POST', '/cleanup-expired')).status, 200)
    assert.deepEqual(await leftOf(json.test_user_id), nothing)
  })
})

describe('the sweep', () => {
  const age = (json) => admin.rows(
    `update basalt.e2e_session set expires_at = now() - interval '1 second' where id = $1`, [json.session_id])

  test('POST /cleanup-expired removes those whose hour is over, and them alone', async () => {
    const [old, young] = [await begun(), await begun()]
    await age(old)
    const status = await asService('GET', '/status')
    assert.deepEqual([status.json.enabled, status.json.expired_sessions], [true, 1])
    assert.ok(status.json.active_sessions >= 1)
    refused(await asService('GET', `/test-session/${old.session_id}/token`), 404, 'e2e_session_not_found')
    const swept = await asService('POST', '/cleanup-expired')
    assert.deepEqual(swept.json, { success: true, cleaned: 1, failed: 0 })
    assert.deepEqual(await leftOf(old.test_user_id), nothing)
    assert.equal((await server.app('GET', '/auth/me', { token: young.access_token })).status, 200)
    assert.equal((await asService('DELETE', `/test-session/${young.session_id}`)).status, 200)
  })

  test('one that will not go does not keep the others', async () => {
    await server.sql('create table public.orders (owner uuid references auth.users (id))')
    const [held, free] = [await begun(), await begun()]
    await server.sql('insert into public.orders values ($1)', [held.test_user_id])
    refused(await asService('DELETE', `/test-session/${held.session_id}`), 409, 'conflict')
    await age(held)
    await age(free)
    assert.deepEqual((await asService('POST', '/cleanup-expired')).json, { success: false, cleaned: 1, failed: 1 })
    assert.deepEqual(await leftOf(free.test_user_id), nothing)
    await server.sql('drop table public.orders')
    assert.deepEqual((await asService('POST', '/cleanup-expired')).json, { success: true, cleaned: 1, failed: 0 })
  })

  test('it also runs by itself', async () => {
    const old = await begun()
    await age(old)
    await admin.rows(`update basalt.job_tick set last_run = now() - interval '1 hour' where name = 'e2e.sweep'`)
    await admin.rows(`select pg_notify('basalt_jobs', '')`)
    await waitFor('the sweep', async () => (await leftOf(old.test_user_id)).users === 0, 30_000, 100)
    assert.deepEqual(await leftOf(old.test_user_id), nothing)
  })
})

test('a person cannot pass for a test user', async () => {
  const made = await server.app('POST', '/auth/register', { json: { email: email('fake'), password } })
  assert.equal(made.status, 201)
  assert.equal(claimsOf(made.json.access_token).app_metadata.e2e_test, undefined)
})
