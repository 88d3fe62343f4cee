// SPDX-License-Identifier: Apache-2.0
// The official client, unchanged from npm, against Basalt.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { createClient, isAuthApiError, isAuthWeakPasswordError } from '@supabase/supabase-js'
import { email, password, start } from '../lib/basalt.mjs'
import { claimsOf } from '../lib/jwt.mjs'

let server
const clients = []

before(async () => {
  server = await start()
})

function client(key = server.keys.anon, more = {}) {
  const made = createClient(server.api, key, {
    auth: { autoRefreshToken: false, persistSession: false, detectSessionInUrl: false, ...more },
  })
  clients.push(made)
  return made
}

const administrator = (key = server.keys.service) => client(key).auth.admin

async function signUp(more = {}, auth = client().auth) {
  const address = email('js')
  const { data, error } = await auth.signUp({ email: address, password, ...more })
  assert.equal(error, null)
  return { auth, address, ...data }
}

function isApiError(error, status, code, message) {
  assert.ok(isAuthApiError(error), String(error))
  assert.equal(error.status, status)
  assert.equal(error.code, code)
  if (message) assert.equal(error.message, message)
}

for (const kind of ['anon', 'publishable']) {
  describe(`with the ${kind} key`, () => {
    test('signUp gives user and session', async () => {
      const { address, user, session } = await signUp(
        { options: { data: { name: 'Ada', favourite: '<&>"ü' } } }, client(server.keys[kind]).auth)
      assert.equal(user.email, address)
      assert.equal(user.aud, 'authenticated')
      assert.equal(user.role, 'authenticated')
      assert.ok(user.email_confirmed_at)
      assert.deepEqual(user.app_metadata, { provider: 'email', providers: ['email'] })
      assert.equal(user.user_metadata.favourite, '<&>"ü')
      assert.equal(user.identities.length, 1)
      assert.equal(user.identities[0].provider, 'email')
      assert.equal(session.token_type, 'bearer')
      assert.equal(session.expires_in, 3600)
      assert.equal(claimsOf(session.access_token).sub, user.id)
      assert.deepEqual(session.user, user)
    })

    test('signInWithPassword, getUser, refreshSession, signOut', async () => {
      const { address, user: made } = await signUp()
      const { auth } = client(server.keys[kind])
      const { data, error } = await auth.signInWithPassword({ email: address, password })
      assert.equal(error, null)
      assert.equal(data.user.id, made.id)
      const got = await auth.getUser()
      assert.equal(got.error, null)
      assert.equal(got.data.user.id, made.id)
      assert.ok(got.data.user.last_sign_in_at)
      const next = await auth.refreshSession()
      assert.equal(next.error, null)
      assert.notEqual(next.data.session.refresh_token, data.session.refresh_token)
      assert.equal((await auth.getUser()).data.user.id, made.id)
      assert.equal((await auth.signOut()).error, null)
      assert.equal((await auth.getSession()).data.session, null)
      const gone = await auth.getUser(next.data.session.access_token)
      assert.equal(gone.data.user, null)
      assert.equal(gone.error.name, 'AuthSessionMissingError')
    })
  })
}

describe('sessions', () => {
  test('setSession takes over a session from elsewhere, getClaims reads it', async () => {
    const { session, user } = await signUp()
    const { auth } = client()
    const { data, error } = await auth.setSession(session)
    assert.equal(error, null)
    assert.equal(data.user.id, user.id)
    const claims = await auth.getClaims()
    assert.equal(claims.error, null)
    assert.equal(claims.data.claims.sub, user.id)
    assert.equal(claims.data.claims.aal, 'aal1')
    const aal = await auth.mfa.getAuthenticatorAssuranceLevel()
    assert.equal(aal.data.currentLevel, 'aal1')
    assert.equal(aal.data.currentAuthenticationMethods[0].method, 'password')
  })

  const scopes = [
    ['global', [false, false]],
    ['local', [false, true]],
    ['others', [true, false]],
  ]
  for (const [scope, living] of scopes) {
    test(`signOut ${scope}`, async () => {
      const { auth, address, session } = await signUp()
      const second = client().auth
      const { data } = await second.signInWithPassword({ email: address, password })
      assert.equal((await auth.signOut({ scope })).error, null)
      const tokens = [session.access_token, data.session.access_token]
      for (const [i, token] of tokens.entries()) {
        const got = await client().auth.getUser(token)
        assert.equal(got.error === null, living[i], `session ${i}`)
      }
      const again = await second.refreshSession()
      assert.equal(again.error === null, living[1])
    })
  }

  test('a session stored by the client survives in a new one', async () => {
    const kept = new Map()
    const storage = {
      getItem: (key) => kept.get(key) ?? null,
      setItem: (key, value) => kept.set(key, value),
      removeItem: (key) => kept.delete(key),
    }
    const { user } = await signUp({}, client(server.keys.anon,
      { persistSession: true, storage, storageKey: 'one' }).auth)
    const later = client(server.keys.anon, { persistSession: true, storage, storageKey: 'one' }).auth
    assert.equal((await later.getUser()).data.user.id, user.id)
  })

  test('many refreshes of one client at once end in one session', async () => {
    const { auth } = await signUp()
    const answers = await Promise.all(Array.from({ length: 8 }, () => auth.refreshSession()))
    for (const { error } of answers) assert.equal(error, null)
    assert.equal((await auth.getUser()).error, null)
  })
})

describe('errors', () => {
  test('wrong password, unknown user', async () => {
    const { address } = await signUp()
    const { auth } = client()
    isApiError((await auth.signInWithPassword({ email: address, password: 'wrong-one' })).error, 400,
      'invalid_credentials', 'Invalid login credentials')
    isApiError((await auth.signInWithPassword({ email: email('nobody'), password })).error, 400,
      'invalid_credentials', 'Invalid login credentials')
  })

  test('taken address, weak password, bad address, no password', async () => {
    const { address } = await signUp()
    const { auth } = client()
    isApiError((await auth.signUp({ email: address, password })).error, 422, 'user_already_exists',
      'User already registered')
    const weak = (await auth.signUp({ email: email(), password: 'short' })).error
    assert.ok(isAuthWeakPasswordError(weak), String(weak))
    assert.deepEqual(weak.reasons, ['length'])
    isApiError((await auth.signUp({ email: 'no address', password })).error, 400,
      'validation_failed', 'Unable to validate email address: invalid format')
    isApiError((await auth.signUp({ email: email(), password: '' })).error, 400,
      'validation_failed', 'Signup requires a valid password')
  })

  test('false tokens', async () => {
    const { auth } = client()
    isApiError((await auth.getUser('a.b.c')).error, 403, 'bad_jwt')
    isApiError((await auth.refreshSession({ refresh_token: 'abcdefghijkl' })).error, 400,
      'refresh_token_not_found', 'Invalid Refresh Token: Refresh Token Not Found')
    assert.equal((await auth.getUser()).error.name, 'AuthSessionMissingError')
  })

  test('a wrong API key is refused by the gateway', async () => {
    const { error } = await client('not-a-key').auth.signUp({ email: email(), password })
    assert.equal(error.status, 401)
    assert.match(error.message, /API key/)
  })

  test('an anon key does not administer', async () => {
    const answer = await administrator(server.keys.anon).listUsers()
    isApiError(answer.error, 403, 'not_admin', 'User not allowed')
    const { session } = await signUp()
    isApiError((await createClient(server.api, server.keys.anon, {
      global: { headers: { Authorization: `Bearer ${session.access_token}` } },
      auth: { persistSession: false, autoRefreshToken: false },
    }).auth.admin.deleteUser(session.user.id)).error, 403, 'not_admin')
  })
})

for (const kind of ['service', 'secret']) {
  describe(`administration with the ${kind} key`, () => {
    let admin

    before(() => {
      admin = administrator(server.keys[kind])
    })

    const create = async (more = {}) => {
      const { data, error } = await admin.createUser(
        { email: email('admin'), password, email_confirm: true, ...more })
      assert.equal(error, null)
      return data.user
    }

    test('createUser: exact metadata, confirmed or not', async () => {
      const user = await create({ email_confirm: false, user_metadata: { full_name: 'Ada', n: [1] },
        app_metadata: { plan: 'free' } })
      assert.deepEqual(user.user_metadata, { full_name: 'Ada', n: [1] })
      assert.deepEqual(user.app_metadata, { provider: 'email', providers: ['email'], plan: 'free' })
      assert.equal(user.email_confirmed_at, undefined)
      isApiError((await client().auth.signInWithPassword({ email: user.email, password })).error,
        400, 'email_not_confirmed', 'Email not confirmed')
      const confirmed = await create()
      assert.ok(confirmed.email_confirmed_at)
      assert.equal((await client().auth.signInWithPassword(
        { email: confirmed.email, password })).error, null)
    })

    test('createUser: taken address, own id, no address', async () => {
      const id = crypto.randomUUID()
      const user = await create({ id })
      assert.equal(user.id, id)
      isApiError((await admin.createUser({ email: user.email, password })).error, 422,
        'email_exists', 'A user with this email address has already been registered')
      isApiError((await admin.createUser({ password })).error, 400, 'validation_failed')
    })

    test('getUserById and its 404', async () => {
      const user = await create()
      const { data, error } = await admin.getUserById(user.id)
      assert.equal(error, null)
      assert.equal(data.user.email, user.email)
      isApiError((await admin.getUserById(crypto.randomUUID())).error, 404, 'user_not_found',
        'User not found')
    })

    test('updateUserById: password, metadata, ban', async () => {
      const user = await create({ user_metadata: { a: 1, b: 2 } })
      const { auth } = client()
      await auth.signInWithPassword({ email: user.email, password })
      const { data, error } = await admin.updateUserById(user.id, {
        password: 'another-password', user_metadata: { b: null, c: 3 }, app_metadata: { plan: 'pro' },
      })
      assert.equal(error, null)
      assert.equal(data.user.user_metadata.b, undefined)
      assert.equal(data.user.user_metadata.c, 3)
      assert.equal(data.user.app_metadata.plan, 'pro')
      assert.equal((await auth.getUser()).error.name, 'AuthSessionMissingError')
      assert.equal((await client().auth.signInWithPassword(
        { email: user.email, password: 'another-password' })).error, null)
      assert.equal((await admin.updateUserById(user.id, { ban_duration: '1h' })).error, null)
      isApiError((await client().auth.signInWithPassword(
        { email: user.email, password: 'another-password' })).error, 400, 'user_banned')
      assert.equal((await admin.updateUserById(user.id, { ban_duration: 'none' })).error, null)
      assert.equal((await client().auth.signInWithPassword(
        { email: user.email, password: 'another-password' })).error, null)
    })

    test('deleteUser, hard and soft', async () => {
      const hard = await create()
      assert.equal((await admin.deleteUser(hard.id)).error, null)
      isApiError((await admin.getUserById(hard.id)).error, 404, 'user_not_found')
      isApiError((await admin.deleteUser(hard.id)).error, 404, 'user_not_found')
      const soft = await create()
      assert.equal((await admin.deleteUser(soft.id, true)).error, null)
      const { data } = await admin.getUserById(soft.id)
      assert.ok(data.user.deleted_at)
      assert.notEqual(data.user.email, soft.email)
      isApiError((await client().auth.signInWithPassword({ email: soft.email, password })).error,
        400, 'invalid_credentials')
    })

    test('signOut by an administrator ends the user\'s sessions', async () => {
      const user = await create()
      const { auth } = client()
      const { data } = await auth.signInWithPassword({ email: user.email, password })
      assert.equal((await admin.signOut(data.session.access_token)).error, null)
      assert.equal((await auth.getUser()).error.name, 'AuthSessionMissingError')
    })
  })
}

describe('listUsers', () => {
  test('pages through everybody exactly once', async () => {
    const admin = administrator()
    for (let i = 0; i < 5; i++) await admin.createUser({ email: email('page'), password })
    const [{ count }] = await server.sql('select count(*) from auth.users')
    const perPage = Math.ceil(count / 5) // the client reads one digit of the next page's number
    const seen = []
    let page = 1
    let total
    do {
      const { data, error } = await admin.listUsers({ page, perPage })
      assert.equal(error, null)
      assert.equal(data.aud, 'authenticated')
      total = data.total
      seen.push(...data.users.map((user) => user.id))
      page = data.nextPage
    } while (page && seen.length <= count)
    assert.equal(total, Number(count))
    assert.equal(seen.length, total)
    assert.equal(new Set(seen).size, total)
    const beyond = await admin.listUsers({ page: 1000, perPage: 50 })
    assert.deepEqual(beyond.data.users, [])
  })
})
