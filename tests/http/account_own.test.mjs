// SPDX-License-Identifier: Apache-2.0
// The app routes about one's own account: who am I, profile, validation of tokens, security status,
// revocation, deletion. Each under both prefixes.
import assert from 'node:assert/strict'
import { afterEach, before, describe, test } from 'node:test'
import { countUsers, email, password, start } from '../lib/basalt.mjs'
import { patience } from '../lib/wait.mjs'

let server

before(async () => {
  server = await start({ settings: { rate_limits: 'off' } })
})

// Another node on the same database, as long as the test runs.
const nodes = []
async function beside(more) {
  nodes.push(await server.beside(more))
  return nodes.at(-1)
}
afterEach(() => Promise.all(nodes.splice(0).map((node) => node.stop())))

const prefixes = ['/auth', '/v1/auth']

// A user of the app: { id, email, token, refresh }.
async function registered(more = {}) {
  const address = email('own')
  const answer = await server.app('POST', '/auth/register', { json: { email: address, password, ...more } })
  assert.equal(answer.status, 201, answer.text)
  const { user_id: id, access_token: token, refresh_token: refresh } = answer.json
  return { id, email: address, token, refresh }
}

async function login(user, word = password) {
  const answer = await server.app('POST', '/auth/login', { json: { email: user.email, password: word } })
  assert.equal(answer.status, 200, answer.text)
  return { ...user, token: answer.json.access_token, refresh: answer.json.refresh_token }
}

function refused(answer, status, error, words) {
  assert.equal(answer.status, status, answer.text)
  assert.equal(answer.json.error, error)
  assert.equal(answer.json.status_code, status)
  assert.equal(answer.json.detail, answer.json.message)
  if (words) assert.match(answer.json.message, words)
  assert.ok(answer.json.request_id)
}

const audited = (id, name) => server.sql(
  'select outcome, actor_kind from basalt.audit_event where subject_id = $1 and name = $2', [id, name])

for (const prefix of prefixes) {
  describe(`under /api${prefix}`, () => {
    test('GET /ping answers without a database', async () => {
      const from = performance.now()
      const answer = await server.app('GET', `${prefix}/ping`)
      const took = performance.now() - from
      assert.equal(answer.status, 200)
      assert.equal(answer.json.status, 'ok')
      assert.ok(!Number.isNaN(Date.parse(answer.json.timestamp)))
      assert.doesNotMatch(answer.headers['server-timing'], /db/)
      assert.ok(took < 50 * patience * 3, `${took} ms`)
    })

    test('GET /whoami tells whose token it is', async () => {
      const user = await registered({ name: 'Ada', role: 'Creator' })
      const answer = await server.app('GET', `${prefix}/whoami`, { token: user.token })
      assert.equal(answer.status, 200, answer.text)
      assert.deepEqual(Object.keys(answer.json).sort(), ['created_at', 'email', 'id', 'metadata', 'role'])
      assert.equal(answer.json.id, user.id)
      assert.equal(answer.json.email, user.email)
      assert.equal(answer.json.role, 'Creator')
      assert.equal(answer.json.metadata.name, 'Ada')
      assert.equal(answer.headers['cache-control'], 'no-store')
    })

    test('a token is valid: GET /token/validate, POST /validate', async () => {
      const user = await registered()
      for (const [method, path] of [['GET', '/token/validate'], ['POST', '/validate']]) {
        const answer = await server.app(method, prefix + path, { token: user.token })
        assert.equal(answer.status, 200, answer.text)
        assert.equal(answer.json.valid, true)
        assert.equal(answer.json.user_id, user.id)
        assert.equal(answer.json.role, 'authenticated')
        assert.ok(answer.json.expires_in > 3500 && answer.json.expires_in <= 3600)
        assert.ok(answer.json.session_id)
      }
    })

    for (const [method, path] of [['GET', '/whoami'], ['GET', '/profile'], ['PUT', '/profile'],
      ['GET', '/token/validate'], ['POST', '/validate'], ['GET', '/security/status'],
      ['GET', '/security-info'], ['DELETE', '/delete-account'], ['POST', '/revoke']]) {
      test(`${method} ${path} without a good token is 401`, async () => {
        refused(await server.app(method, prefix + path), 401, 'no_authorization')
        refused(await server.app(method, prefix + path, { token: 'x.y.z' }), 401, 'bad_jwt')
        const user = await registered()
        await server.app('POST', `${prefix}/logout`, { token: user.token })
        refused(await server.app(method, prefix + path, { token: user.token }), 401, 'session_not_found')
      })
    }

    test('POST /check-email says available of every address', async () => {
      const user = await registered()
      const ask = (json, query = '') => server.app('POST', `${prefix}/check-email${query}`, { json })
      for (const answer of [await ask({ email: user.email }), await ask({ email: email('nobody') }),
        await ask(undefined, `?email=${encodeURIComponent(user.email)}`)]) {
        assert.equal(answer.status, 200, answer.text)
        assert.deepEqual(answer.json, { available: true })
        assert.doesNotMatch(answer.headers['server-timing'], /db/)
      }
      refused(await ask({ email: 'nobody' }), 422, 'validation_failed', /email/)
      refused(await ask({}), 422, 'validation_failed', /email/)
      refused(await ask(undefined, '?email='), 422, 'validation_failed', /email/)
      refused(await ask(undefined), 400, 'bad_json')
    })

    test('PUT /profile changes what is given, GET /profile shows it', async () => {
      const user = await registered({ name: 'Ada', role: 'Brand', country: 'US' })
      const put = await server.app('PUT', `${prefix}/profile`, {
        token: user.token,
        json: { full_name: 'Ada Lovelace', avatar_url: 'https://example.com/a.png', annual_income: 5,
          onboarding_completed: true, country: null },
      })
      assert.equal(put.status, 200, put.text)
      const got = await server.app('GET', `${prefix}/profile`, { token: user.token })
      assert.equal(got.status, 200, got.text)
      for (const { json } of [put, got]) {
        assert.equal(json.id, user.id)
        assert.equal(json.full_name, 'Ada Lovelace')
        assert.equal(json.user.full_name, 'Ada Lovelace')
        assert.equal(json.avatar_url, 'https://example.com/a.png')
        assert.equal(json.annual_income, 5)
        assert.equal(json.onboarding_completed, true)
        assert.equal(json.country, null)
        assert.equal(json.name, 'Ada')
        assert.equal(json.role, 'Brand')
      }
      assert.deepEqual(await audited(user.id, 'profile_update'), [{ outcome: 'success', actor_kind: 'user' }])
      const none = await server.app('PUT', `${prefix}/profile`, { token: user.token, json: {} })
      assert.equal(none.status, 200, none.text)
      assert.equal(none.json.full_name, 'Ada Lovelace')
    })

    for (const [what, json, words] of [
      ['an unknown field', { shoe_size: 5 }, /^shoe_size/],
      ['another\'s row', { id: '00000000-0000-4000-8000-000000000001' }, /^id/],
      ['the role', { role: 'Brand' }, /^role/],
      ['the e-mail address', { email: 'a@example.com' }, /^email/],
      ['a plain http picture', { avatar_url: 'http://example.com/a.png' }, /^avatar_url/],
      ['a script as picture', { avatar_url: 'javascript:alert(1)' }, /^avatar_url/],
      ['a picture with a password', { avatar_url: 'https://a:b@example.com/' }, /^avatar_url/],
      ['a name that is a list', { full_name: ['a'] }, /^full_name/],
      ['a name too long', { full_name: 'x'.repeat(256) }, /^full_name/],
      ['an income out of bounds', { annual_income: 10000001 }, /^annual_income/],
      ['onboarding as text', { onboarding_completed: 'yes' }, /^onboarding_completed/],
      ['onboarding as null, which the table refuses', { onboarding_completed: null }, /^onboarding_completed/],
    ]) {
      test(`PUT /profile with ${what} is 422 by name and changes nothing`, async () => {
        const user = await registered({ name: 'Ada' })
        const answer = await server.app('PUT', `${prefix}/profile`,
          { token: user.token, json: { country: 'FR', ...json } })
        refused(answer, 422, 'validation_failed', words)
        const { json: now } = await server.app('GET', `${prefix}/profile`, { token: user.token })
        assert.equal(now.country, null)
        assert.deepEqual(await audited(user.id, 'profile_update'), [])
      })
    }

    test('PUT /profile of what is not JSON is 400, too much is 413', async () => {
      const user = await registered()
      for (const body of ['', '{', '[]', '{"name":"a","name":"b"}'])
        refused(await server.app('PUT', `${prefix}/profile`, { token: user.token, body }), 400, 'bad_json')
      refused(await server.app('PUT', `${prefix}/profile`,
        { token: user.token, json: { name: 'x'.repeat(70000) } }), 413, 'request_entity_too_large')
    })

    test('a profile that is gone is 404 and does not come back', async () => {
      const user = await registered()
      await server.sql('delete from public.profiles where id = $1', [user.id])
      refused(await server.app('GET', `${prefix}/profile`, { token: user.token }), 404, 'profile_not_found')
      refused(await server.app('PUT', `${prefix}/profile`, { token: user.token, json: { name: 'a' } }),
        404, 'profile_not_found')
      assert.deepEqual(await server.sql('select id from public.profiles where id = $1', [user.id]), [])
      assert.deepEqual(await audited(user.id, 'profile_update'), [])
    })

    for (const path of ['/security/status', '/security-info']) {
      test(`GET ${path}`, async () => {
        const user = await login(await registered())
        const answer = await server.app('GET', prefix + path, { token: user.token })
        assert.equal(answer.status, 200, answer.text)
        const { json } = answer
        assert.equal(json.user_id, user.id)
        assert.equal(json.email_confirmed, true)
        assert.equal(json.mfa_enabled, false)
        assert.equal(json.active_sessions, 2)
        assert.equal(json.has_password, true)
        assert.equal(json.password_age_days, 0)
        assert.equal(json.account_locked, false)
        assert.ok(Date.now() - Date.parse(json.last_sign_in_at) < 60_000 * patience)
        assert.ok(Date.now() - Date.parse(json.password_changed_at) < 60_000 * patience)
        assert.equal(answer.headers['cache-control'], 'no-store')
      })
    }

    const valid = async (user) =>
      (await server.app('GET', `${prefix}/token/validate`, { token: user.token })).status

    test('POST /revoke by refresh token ends its session alone', async () => {
      const one = await registered()
      const other = await login(one)
      const answer = await server.app('POST', `${prefix}/revoke`, { json: { refresh_token: one.refresh } })
      assert.equal(answer.status, 200, answer.text)
      assert.equal(answer.json.message, 'Session revoked')
      assert.equal(await valid(one), 401)
      assert.equal(await valid(other), 200)
      assert.equal((await server.app('POST', `${prefix}/refresh`,
        { json: { refresh_token: one.refresh } })).status, 401)
      assert.equal((await audited(one.id, 'logout')).length, 1)
    })

    test('POST /revoke with all ends every session of a living refresh token\'s user', async () => {
      const one = await registered()
      const other = await login(one)
      const answer = await server.app('POST', `${prefix}/revoke`, { json: { token: one.refresh, all: true } })
      assert.equal(answer.status, 200, answer.text)
      assert.equal(answer.json.message, 'All sessions revoked')
      assert.equal(await valid(one), 401)
      assert.equal(await valid(other), 401)
    })

    test('a spent refresh token ends its own session at most', async () => {
      const one = await registered()
      const other = await login(one)
      const next = await server.app('POST', `${prefix}/refresh`, { json: { refresh_token: one.refresh } })
      assert.equal(next.status, 200)
      await server.app('POST', `${prefix}/revoke`, { json: { refresh_token: one.refresh, all: true } })
      assert.equal(await valid(other), 200)
      assert.equal((await server.app('POST', `${prefix}/refresh`,
        { json: { refresh_token: next.json.refresh_token } })).status, 401)
    })

    test('POST /revoke by bearer token: this session, or all', async () => {
      const one = await registered()
      const two = await login(one)
      const three = await login(one)
      assert.equal((await server.app('POST', `${prefix}/revoke`, { token: one.token })).status, 200)
      assert.deepEqual([await valid(one), await valid(two), await valid(three)], [401, 200, 200])
      assert.equal((await server.app('POST', `${prefix}/revoke`,
        { token: two.token, json: { all: true } })).status, 200)
      assert.deepEqual([await valid(two), await valid(three)], [401, 401])
    })

    test('POST /revoke of an unknown token says what it always says', async () => {
      for (const refresh_token of ['abcdefghijkl', 'x', 'y'.repeat(4000)]) {
        const answer = await server.app('POST', `${prefix}/revoke`, { json: { refresh_token } })
        assert.equal(answer.status, 200, answer.text)
        assert.equal(answer.json.message, 'Session revoked')
      }
      refused(await server.app('POST', `${prefix}/revoke`, { json: { refresh_token: 5 } }),
        422, 'validation_failed', /refresh_token/)
      refused(await server.app('POST', `${prefix}/revoke`, { body: '{' }), 400, 'bad_json')
    })

    const rowsOf = async (id) => (await server.sql(`select
      (select count(*) from auth.users where id = $1)::int as users,
      (select count(*) from auth.identities where user_id = $1)::int as identities,
      (select count(*) from auth.sessions where user_id = $1)::int as sessions,
      (select count(*) from auth.refresh_tokens where user_id = $1::text)::int as tokens,
      (select count(*) from public.profiles where id = $1)::int as profiles`, [id]))[0]

    test('DELETE /delete-account takes everything with it', async () => {
      const user = await login(await registered())
      const answer = await server.app('DELETE', `${prefix}/delete-account`,
        { token: user.token, json: { password } })
      assert.equal(answer.status, 200, answer.text)
      assert.equal(answer.json.message, 'Account deleted')
      assert.deepEqual(await rowsOf(user.id), { users: 0, identities: 0, sessions: 0, tokens: 0, profiles: 0 })
      assert.equal(await valid(user), 401)
      assert.equal((await server.app('POST', `${prefix}/login`,
        { json: { email: user.email, password } })).status, 401)
      assert.deepEqual(await audited(user.id, 'user_deleted'), [{ outcome: 'success', actor_kind: 'user' }])
      // the address is free again
      assert.equal((await server.app('POST', `${prefix}/register`,
        { json: { email: user.email, password } })).status, 201)
    })

    test('a wrong or missing password deletes nothing', async () => {
      const user = await registered()
      for (const options of [{ json: { password: 'not-the-one' } }, { json: {} }, {}])
        refused(await server.app('DELETE', `${prefix}/delete-account`, { token: user.token, ...options }),
          401, 'invalid_credentials', /^Password is incorrect$/)
      refused(await server.app('DELETE', `${prefix}/delete-account`,
        { token: user.token, json: { password: 5 } }), 422, 'validation_failed', /password/)
      refused(await server.app('DELETE', `${prefix}/delete-account`, { token: user.token, body: '[' }),
        400, 'bad_json')
      assert.equal(await countUsers(server, user.email), 1)
      assert.equal(await valid(user), 200)
    })

    test('a user without a password needs none', async () => {
      const user = await registered()
      await server.sql(`update auth.users set encrypted_password = '' where id = $1`, [user.id])
      const { json } = await server.app('GET', `${prefix}/security/status`, { token: user.token })
      assert.deepEqual([json.has_password, json.password_changed_at, json.password_age_days], [false, null, null])
      assert.equal((await server.app('DELETE', `${prefix}/delete-account`, { token: user.token })).status, 200)
      assert.equal(await countUsers(server, user.email), 0)
    })

    test('rows of the app that hold on to the user are 409, and nothing is lost', async () => {
      await server.sql('create table if not exists public.invoices (owner uuid references auth.users (id))')
      const user = await registered()
      await server.sql('insert into public.invoices values ($1)', [user.id])
      refused(await server.app('DELETE', `${prefix}/delete-account`, { token: user.token, json: { password } }),
        409, 'conflict')
      assert.deepEqual(await rowsOf(user.id), { users: 1, identities: 1, sessions: 1, tokens: 1, profiles: 1 })
      await server.sql('delete from public.invoices where owner = $1', [user.id])
      assert.equal((await server.app('DELETE', `${prefix}/delete-account`,
        { token: user.token, json: { password } })).status, 200)
    })
  })
}

test('a table of profiles of the app\'s own, that does not go with its user, is emptied too', async () => {
  await server.sql(`create table public.members (id uuid primary key, name text, role text);
    grant all on public.members to service_role`)
  const node = await beside({ rate_limits: 'off', profile_table: 'public.members' })
  const address = email('member')
  const made = await node.app('POST', '/auth/register', { json: { email: address, password, name: 'Ada' } })
  assert.equal(made.status, 201, made.text)
  const id = made.json.user_id
  assert.equal((await server.sql('select name from public.members where id = $1', [id]))[0].name, 'Ada')
  const token = made.json.access_token
  refused(await node.app('PUT', '/auth/profile', { token, json: { onboarding_completed: true } }),
    422, 'validation_failed')
  assert.equal((await node.app('DELETE', '/auth/delete-account', { token, json: { password } })).status, 200)
  assert.deepEqual(await server.sql('select id from public.members where id = $1', [id]), [])
})

test('without profiles there is none to read or change', async () => {
  const node = await beside({ rate_limits: 'off', profile_table: 'off' })
  const made = await node.app('POST', '/auth/register', { json: { email: email('bare'), password } })
  assert.equal(made.status, 201, made.text)
  const token = made.json.access_token
  refused(await node.app('GET', '/auth/profile', { token }), 404, 'profile_not_found')
  refused(await node.app('PUT', '/auth/profile', { token, json: { name: 'a' } }), 404, 'profile_not_found')
  assert.equal((await node.app('GET', '/auth/whoami', { token })).json.role, 'authenticated')
  assert.equal((await node.app('DELETE', '/auth/delete-account', { token, json: { password } })).status, 200)
})
