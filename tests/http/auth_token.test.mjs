// SPDX-License-Identifier: Apache-2.0
// POST /auth/v1/token: the password and the refresh grant, with every rule of reuse.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { email, loggedIn, password, refreshed, signedUp, start } from '../lib/basalt.mjs'
import { claimsOf } from '../lib/jwt.mjs'
import { isRefusal, refused } from '../lib/refused.mjs'

let server // a spent refresh token works on for 10 s, the default
let strict // and here for no time at all

before(async () => {
  server = await start()
  strict = await server.beside({ refresh_reuse_interval: 0 })
})

const grant = (type, json, { to = server, ...more } = {}) =>
  to.auth('POST', `/token?grant_type=${type}`, { json, ...more })

const tokensOf = (user) => server.sql(`select token, parent, revoked from auth.refresh_tokens
  where user_id = $1 order by id`, [user.id])
const livingOf = async (user) =>
  (await tokensOf(user)).filter((row) => !row.revoked).map((row) => row.token)

// As if the token had been spent `seconds` earlier.
const age = (token, seconds) => server.sql(`update auth.refresh_tokens
  set updated_at = updated_at - make_interval(secs => $2) where token = $1`, [token, seconds])

const alreadyUsed = { status: 400, code: 'refresh_token_already_used', version: '2024-01-01',
  message: 'Invalid Refresh Token: Already Used' }

describe('grant_type=password', () => {
  test('answers a session; the address in any case', async () => {
    const user = await signedUp(server)
    const answer = await grant('password', { email: user.email.toUpperCase(), password })
    assert.equal(answer.status, 200, answer.text)
    assert.equal(answer.json.user.id, user.id)
    assert.notEqual(answer.json.refresh_token, user.refresh)
    assert.equal(claimsOf(answer.json.access_token).amr[0].method, 'password')
    assert.equal(answer.headers['cache-control'], 'no-store')
    assert.equal(answer.headers['sb-auth-user-id'], user.id)
    assert.equal(answer.json.weak_password, undefined)
  })

  const cases = [
    ['an unknown address', 400, 'invalid_credentials', 'Invalid login credentials',
      () => ({ email: email(), password })],
    ['a wrong password', 400, 'invalid_credentials', 'Invalid login credentials',
      async () => ({ email: (await signedUp(server)).email, password: 'wrong-password' })],
    ['no password', 400, 'invalid_credentials', 'Invalid login credentials',
      async () => ({ email: (await signedUp(server)).email })],
    ['no address', 400, 'validation_failed', 'missing email or phone', () => ({ password })],
    ['both address and phone', 400, 'validation_failed', /Only an email address or phone number/,
      () => ({ email: email(), phone: '15551234567', password })],
    ['a phone', 422, 'phone_provider_disabled', undefined,
      () => ({ phone: '15551234567', password })],
  ]
  for (const [what, status, code, message, body] of cases) {
    test(`${what} is ${status} ${code}`, async () => {
      const json = await body()
      await refused((version) => grant('password', json, { version }), status, code, message)
    })
  }

  test('an unknown address costs a hash, as a wrong password does', async () => {
    const user = await signedUp(server)
    const hashMs = async (address) => {
      const answer = await grant('password', { email: address, password: 'wrong-password' })
      return Number(/hash;dur=([\d.]+)/.exec(answer.headers['server-timing'])[1])
    }
    const known = []
    const unknown = []
    for (let i = 0; i < 7; i++) {
      known.push(await hashMs(user.email))
      unknown.push(await hashMs(email()))
    }
    // the least of each: what a busy machine adds is no cost of the address
    const [least, of] = [Math.min(...unknown), Math.min(...known)]
    assert.ok(least > 0.4 * of && least < 2.5 * of, `unknown ${unknown} ms, known ${known} ms`)
  })

  test('a banned user is 400, but only with the right password', async () => {
    const user = await signedUp(server)
    await server.service('PUT', `/admin/users/${user.id}`, { json: { ban_duration: '24h' } })
    await refused((version) => grant('password', { email: user.email, password }, { version }), 400,
      'user_banned')
    await refused((version) => grant('password', { email: user.email, password: 'wrong-one' },
      { version }), 400, 'invalid_credentials')
  })

  test('an imported bcrypt password logs in and is hashed anew', async () => {
    const address = email('bcrypt')
    // "password123", cost 4: a well-known form, made for this test by crypt()
    const { status, json } = await server.service('POST', '/admin/users', { json: {
      email: address, email_confirm: true,
      password_hash: '$2b$04$e9hQpEXWQyGWwXSEcx4bUOGUz2StDgJSf0zbJ2HTyGZSgD/qlg8KK' } })
    assert.equal(status, 200, JSON.stringify(json))
    const [before] = await server.sql('select encrypted_password p from auth.users where id = $1',
      [json.id])
    assert.match(before.p, /^\$2b\$/)
    assert.equal((await grant('password', { email: address, password: 'not it' })).status, 400)
    assert.equal((await grant('password', { email: address, password: 'password123' })).status, 200)
    const [after] = await server.sql('select encrypted_password p from auth.users where id = $1',
      [json.id])
    assert.match(after.p, /^\$argon2id\$/)
    assert.equal((await grant('password', { email: address, password: 'password123' })).status, 200)
  })

  test('a user without a password cannot log in', async () => {
    const user = await signedUp(server)
    for (const stored of ['', null]) {
      await server.sql('update auth.users set encrypted_password = $2 where id = $1',
        [user.id, stored])
      for (const attempt of ['', password])
        await refused((version) => grant('password', { email: user.email, password: attempt },
          { version }), 400, 'invalid_credentials')
    }
  })

  test('another grant type is refused', async () => {
    for (const type of ['', 'authorization_code', 'PASSWORD'])
      await refused((version) => grant(type, { email: email(), password }, { version }), 400,
        'invalid_credentials', 'unsupported_grant_type')
    const none = await server.auth('POST', '/token', { json: {} })
    assert.equal(none.json.message, 'unsupported_grant_type')
  })

  test('a query that cannot be read is refused, and does not count as absent', async () => {
    const user = await signedUp(server)
    for (const query of ['scope=local%00', 'scope=%zz', 'scope=%ff'])
      assert.equal((await server.auth('POST', `/logout?${query}`, { token: user.token })).status, 400)
    assert.equal((await server.auth('GET', '/user', { token: user.token })).status, 200)
  })

  test('passwords of any bytes and length', async () => {
    for (const word of ['ünïcödé-😀-pass', ' leading and trailing ', 'x'.repeat(200), '"\\\'$(<&>)`']) {
      const user = await signedUp(server, { password: word })
      assert.equal((await grant('password', { email: user.email, password: word })).status, 200, word)
      assert.equal((await grant('password', { email: user.email, password: `${word}x` })).status, 400)
    }
    // nothing past 72 bytes is ignored, as bcrypt would
    const long = await signedUp(server, { password: 'x'.repeat(100) })
    assert.equal((await grant('password', { email: long.email, password: 'x'.repeat(99) })).status,
      400)
  })
})

describe('grant_type=refresh_token', () => {
  test('rotates: a child of the spent one, the same session', async () => {
    const user = await signedUp(server)
    const answer = await refreshed(server, user.refresh)
    assert.equal(answer.status, 200, answer.text)
    const next = answer.json.refresh_token
    assert.match(next, /^[a-z2-7]{12}$/)
    assert.deepEqual(await tokensOf(user), [
      { token: user.refresh, parent: null, revoked: true },
      { token: next, parent: user.refresh, revoked: false },
    ])
    const before = claimsOf(user.token)
    const after = claimsOf(answer.json.access_token)
    assert.equal(after.session_id, before.session_id)
    assert.equal(after.amr[0].method, 'password')
    assert.ok(Math.abs(after.amr[0].timestamp - before.amr[0].timestamp) <= 1)
    assert.equal(answer.headers['sb-auth-refresh-token-rotated'], 'true')
    assert.equal(answer.headers['sb-auth-refresh-token-reuse'], 'false')
    assert.equal(answer.headers['sb-auth-refresh-token-prefix'], next.slice(0, 5))
    const [session] = await server.sql(`select refreshed_at is not null as refreshed, user_agent, ip
      from auth.sessions where id = $1`, [after.session_id])
    assert.deepEqual(session, { refreshed: true, user_agent: null, ip: '127.0.0.1' })
  })

  test('reads the user again: changed metadata is in the new token', async () => {
    const user = await signedUp(server)
    await server.service('PUT', `/admin/users/${user.id}`,
      { json: { user_metadata: { plan: 'pro' }, app_metadata: { level: 9 } } })
    const { json } = await refreshed(server, user.refresh)
    assert.equal(claimsOf(json.access_token).user_metadata.plan, 'pro')
    assert.equal(claimsOf(json.access_token).app_metadata.level, 9)
    assert.equal(json.user.user_metadata.plan, 'pro')
  })

  test('malformed and unknown tokens', async () => {
    for (const token of ['', 'short', 'UPPERCASE123', 'abcdefghijk!', 'x'.repeat(13), 'x'.repeat(500),
      'abcdefghijkl ', "' or 1=1 --"])
      await refused((version) => grant('refresh_token', { refresh_token: token }, { version }), 400,
        'validation_failed', 'Refresh token is not valid')
    await refused((version) => grant('refresh_token', {}, { version }), 400, 'validation_failed')
    await refused((version) => grant('refresh_token', { refresh_token: 'abcdefghijkl' },
      { version }), 400, 'refresh_token_not_found',
    'Invalid Refresh Token: Refresh Token Not Found')
  })

  test('the parent of the active token gives the active one again, without a time limit', async () => {
    const user = await signedUp(server)
    const { json: { refresh_token: active } } = await refreshed(strict, user.refresh)
    await age(user.refresh, 86_400)
    for (let i = 0; i < 3; i++) {
      const again = await refreshed(strict, user.refresh)
      assert.equal(again.status, 200, again.text)
      assert.equal(again.json.refresh_token, active)
      assert.equal(again.headers['sb-auth-refresh-token-rotated'], 'false')
      assert.equal(again.headers['sb-auth-refresh-token-reuse'], 'true')
      assert.equal(again.headers['sb-auth-refresh-token-reuse-cause'], 'fail-to-save')
    }
    assert.deepEqual(await livingOf(user), [active])
  })

  test('a grandparent within the interval gets a token of its own', async () => {
    const user = await signedUp(server)
    const one = (await refreshed(server, user.refresh)).json.refresh_token
    await refreshed(server, one)
    const again = await refreshed(server, user.refresh)
    assert.equal(again.status, 200, again.text)
    assert.equal(again.headers['sb-auth-refresh-token-reuse-cause'], 'concurrent-refresh')
    assert.equal(again.headers['sb-auth-refresh-token-rotated'], 'true')
    assert.ok(![user.refresh, one].includes(again.json.refresh_token))
    assert.equal((await refreshed(server, again.json.refresh_token)).status, 200)
  })

  for (const [what, to, late] of [['after the interval', () => server, 11],
    ['at once where there is none', () => strict, 0]]) {
    test(`a grandparent ${what} has leaked: the session's tokens are revoked, for good`, async () => {
      const user = await signedUp(server)
      const one = (await refreshed(to(), user.refresh)).json.refresh_token
      const two = (await refreshed(to(), one)).json.refresh_token
      if (late) await age(user.refresh, late)
      isRefusal(await refreshed(to(), user.refresh), alreadyUsed)
      assert.deepEqual(await livingOf(user), [])
      if (late) await server.sql(`update auth.refresh_tokens set updated_at = updated_at
        - make_interval(secs => $2) where user_id = $1`, [user.id, late])
      isRefusal(await refreshed(to(), two), alreadyUsed)
      const [row] = await server.sql(`select count(*)::int n from auth.sessions where user_id = $1`,
        [user.id])
      assert.equal(row.n, 1, 'the session itself stays')
      // logging in anew works
      assert.equal((await refreshed(to(), (await loggedIn(server, user)).refresh)).status, 200)
    })
  }

  test('with rotation off only the request fails', async () => {
    const lenient = await server.beside({ refresh_rotation: false, refresh_reuse_interval: 0 })
    const user = await signedUp(server)
    const one = (await refreshed(lenient, user.refresh)).json.refresh_token
    const two = (await refreshed(lenient, one)).json.refresh_token
    isRefusal(await refreshed(lenient, user.refresh), alreadyUsed)
    assert.equal((await refreshed(lenient, two)).status, 200)
    await lenient.close()
  })

  test('reuse of one session leaves the others alone', async () => {
    const user = await signedUp(server)
    const other = await loggedIn(server, user)
    const one = (await refreshed(strict, user.refresh)).json.refresh_token
    await refreshed(strict, one)
    isRefusal(await refreshed(strict, user.refresh), alreadyUsed)
    assert.equal((await refreshed(strict, other.refresh)).status, 200)
  })

  test('20 refreshes of one token at once, on two servers: all agree, two may live at most',
    async () => {
      for (const to of [[server, server], [strict, strict], [server, strict]]) {
        const user = await signedUp(server)
        const answers = await Promise.all(Array.from({ length: 20 }, (_, i) =>
          refreshed(to[i % 2], user.refresh)))
        for (const answer of answers) assert.equal(answer.status, 200, answer.text)
        const given = new Set(answers.map((answer) => answer.json.refresh_token))
        assert.equal(given.size, 1, 'the active token, given again')
        assert.deepEqual(await livingOf(user), [...given])
        assert.equal((await refreshed(strict, [...given][0])).status, 200)
      }
    })

  test('two tabs that refresh in turns never lose their session', async () => {
    const user = await signedUp(server)
    const tabs = [user.refresh, user.refresh]
    for (let round = 0; round < 6; round++) {
      const answers = await Promise.all(tabs.map((token) => refreshed(server, token)))
      answers.forEach((answer, i) => {
        assert.equal(answer.status, 200, answer.text)
        tabs[i] = answer.json.refresh_token
      })
    }
  })

  test('a banned user\'s refresh is 400', async () => {
    const user = await signedUp(server)
    await server.service('PUT', `/admin/users/${user.id}`, { json: { ban_duration: '1h' } })
    await refused((version) => grant('refresh_token', { refresh_token: user.refresh }, { version }),
      400, 'user_banned', 'Invalid Refresh Token: User Banned')
    const app = await server.app('POST', '/auth/refresh', { json: { refresh_token: user.refresh } })
    assert.equal(app.status, 403)
    await server.service('PUT', `/admin/users/${user.id}`, { json: { ban_duration: 'none' } })
    assert.equal((await refreshed(server, user.refresh)).status, 200)
  })

  test('not_after, timebox and inactivity end a session at its next refresh', async () => {
    const user = await signedUp(server)
    await server.sql(`update auth.sessions set not_after = now() - interval '1 s' where user_id = $1`,
      [user.id])
    await refused((version) => grant('refresh_token', { refresh_token: user.refresh }, { version }),
      400, 'session_expired', 'Invalid Refresh Token: Session Expired')

    const limits = await server.beside({ session_timebox: '1h', session_inactivity: '10m' })
    const boxed = await signedUp(server)
    await server.sql(`update auth.sessions set created_at = now() - interval '61 min'
      where user_id = $1`, [boxed.id])
    isRefusal(await refreshed(limits, boxed.refresh), { status: 400, code: 'session_expired',
      message: 'Invalid Refresh Token: Session Expired', version: '2024-01-01' })
    const idle = await signedUp(server)
    await age(idle.refresh, 601)
    isRefusal(await refreshed(limits, idle.refresh), { status: 400, code: 'session_expired',
      message: 'Invalid Refresh Token: Session Expired (Inactivity)', version: '2024-01-01' })
    const busy = await signedUp(server)
    await server.sql(`update auth.sessions set created_at = now() - interval '50 min'
      where user_id = $1`, [busy.id])
    assert.equal((await refreshed(limits, busy.refresh)).status, 200)
    await limits.close()
  })

  test('audit: two rows a refresh, one kept for a reuse', async () => {
    const user = await signedUp(server)
    const one = (await refreshed(strict, user.refresh)).json.refresh_token
    await refreshed(strict, one)
    await refreshed(strict, user.refresh)
    const rows = await server.sql(`select name, count(*)::int as n from basalt.audit_event
      where actor_id = $1 and name like 'token%' group by name order by name`, [user.id])
    assert.deepEqual(rows, [{ name: 'token_refreshed', n: 2 }, { name: 'token_reused', n: 1 },
      { name: 'token_revoked', n: 2 }])
  })
})
