// SPDX-License-Identifier: Apache-2.0
// /auth/v1/user/identities: a way to sign in is taken away, and what the account then is.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { email, signedUp, start } from '../lib/basalt.mjs'
import { sign } from '../lib/jwt.mjs'
import { refused } from '../lib/refused.mjs'

let server, closed

before(async () => {
  server = await start({ settings: { manual_linking: true } })
  closed = await server.beside()
})

const unlink = (user, id, more = {}) =>
  server.auth('DELETE', `/user/identities/${id}`, { token: user.token, ...more })
const me = async (user) => (await server.auth('GET', '/user', { token: user.token })).json
const idOf = (shown, provider) =>
  shown.identities.find((identity) => identity.provider === provider).identity_id

async function linked(user, provider, data = {}) {
  const sub = crypto.randomUUID()
  const [row] = await server.sql(`insert into auth.identities
    (user_id, provider_id, provider, identity_data, created_at, updated_at)
    values ($1, $2, $3, $4, now(), now()) returning id`,
  [user.id, provider === 'phone' ? user.id : sub, provider, { sub, ...data }])
  return row.id
}

describe('unlinking', () => {
  test('another provider: address and password stay, providers follow', async () => {
    const user = await signedUp(server)
    const id = await linked(user, 'google', { email: 'elsewhere@example.org', email_verified: true })
    assert.equal((await unlink(user, id)).text, '{}')
    const shown = await me(user)
    assert.equal(shown.email, user.email)
    assert.ok(shown.email_confirmed_at)
    assert.deepEqual(shown.identities.map((i) => i.provider), ['email'])
    assert.deepEqual(shown.app_metadata, { provider: 'email', providers: ['email'] })
    const [audit] = await server.sql(`select name, detail from basalt.audit_event
      where actor_id = $1 and name = 'identity_unlinked'`, [user.id])
    assert.deepEqual(audit, { name: 'identity_unlinked', detail: { provider: 'google' } })
  })

  test('the address\'s own: the account takes a remaining, best a verified one', async () => {
    const user = await signedUp(server)
    const [first, second] = [email('first'), email('second')]
    await linked(user, 'github', { email: first })
    await linked(user, 'google', { email: second, email_verified: true })
    assert.equal((await unlink(user, idOf(await me(user), 'email'))).status, 200)
    const shown = await me(user)
    assert.equal(shown.email, second)
    assert.ok(shown.email_confirmed_at)
    assert.deepEqual(shown.app_metadata, { provider: 'github', providers: ['github', 'google'] })
  })

  test('an address that nobody verified is not confirmed; without any it is none', async () => {
    for (const data of [{ email: email('unseen') }, {}]) {
      const user = await signedUp(server)
      await linked(user, 'github', data)
      assert.equal((await unlink(user, idOf(await me(user), 'email'))).status, 200)
      const shown = await me(user)
      assert.equal(shown.email, data.email ?? '')
      assert.equal(shown.email_confirmed_at, undefined)
    }
  })

  test('a phone takes the number with it', async () => {
    const user = await signedUp(server)
    const number = `1556${Math.floor(1e6 + Math.random() * 9e6)}`
    await linked(user, 'phone', { phone: number })
    await server.sql('update auth.users set phone = $2, phone_confirmed_at = now() where id = $1',
      [user.id, number])
    assert.equal((await unlink(user, idOf(await me(user), 'phone'))).status, 200)
    const shown = await me(user)
    assert.deepEqual([shown.phone, shown.phone_confirmed_at, shown.email],
      ['', undefined, user.email])
  })

  test('two at once leave one', async () => {
    const user = await signedUp(server)
    const id = await linked(user, 'github', { email: user.email })
    const own = idOf(await me(user), 'email')
    const answers = await Promise.all([unlink(user, id), unlink(user, own)])
    assert.deepEqual(answers.map((a) => a.status).sort(), [200, 422])
    assert.equal((await me(user)).identities.length, 1)
  })
})

describe('refusals', () => {
  test('linking is off', async () => {
    const user = await signedUp(server)
    for (const [method, target] of [['DELETE', `/user/identities/${crypto.randomUUID()}`],
      ['GET', '/user/identities/authorize?provider=google']])
      await refused((version) => closed.auth(method, target, { token: user.token, version }), 404,
        'manual_linking_disabled', 'Manual linking is disabled')
  })

  test('the last one, an unknown one, somebody else\'s, no uuid', async () => {
    const [user, other] = [await signedUp(server), await signedUp(server)]
    const own = idOf(await me(user), 'email')
    await refused((version) => unlink(user, own, { version }), 422, 'single_identity_not_deletable',
      'User must have at least 1 identity after unlinking')
    await linked(user, 'github', {})
    for (const id of [crypto.randomUUID(), idOf(await me(other), 'email')])
      await refused((version) => unlink(user, id, { version }), 422, 'identity_not_found',
        'Identity doesn\'t exist')
    await refused((version) => unlink(user, 'x', { version }), 404, 'validation_failed')
    assert.equal((await me(user)).identities.length, 2)
    assert.equal((await me(other)).identities.length, 1)
  })

  test('another user has the address that would remain', async () => {
    const [user, other] = [await signedUp(server), await signedUp(server)]
    await linked(user, 'google', { email: other.email, email_verified: true })
    const own = idOf(await me(user), 'email')
    await refused((version) => unlink(user, own, { version }), 422,
      'email_conflict_identity_not_deletable', 'Unable to unlink identity due to email conflict')
    assert.equal((await me(user)).email, user.email)
  })

  test('another audience is asked for; no session', async () => {
    const user = await signedUp(server)
    const id = await linked(user, 'github', {})
    await refused((version) => unlink(user, id, { version, headers: { 'x-jwt-aud': 'others' } }),
      403, 'unexpected_audience')
    await refused((version) => server.auth('DELETE', `/user/identities/${id}`, { version }), 403,
      'bad_jwt')
    const dead = sign({ sub: user.id, aud: 'authenticated', role: 'authenticated',
      session_id: crypto.randomUUID(), exp: Math.floor(Date.now() / 1000) + 60 }, server.jwtSecret)
    await refused((version) => unlink({ token: dead }, id, { version }), 403, 'session_not_found')
  })

  test('there is no provider to link yet', async () => {
    const user = await signedUp(server)
    for (const query of ['', '?provider=google&skip_http_redirect=true'])
      await refused((version) => server.auth('GET', `/user/identities/authorize${query}`,
        { token: user.token, version }), 400, 'validation_failed', /^Unsupported provider/)
  })
})
