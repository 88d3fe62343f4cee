// SPDX-License-Identifier: Apache-2.0
// Signing in by Google's ID tokens: POST /api/auth/google and the id_token grant, against a provider of
// the test's own that can lie, fail, hang and rotate its keys.
import assert from 'node:assert/strict'
import { afterEach, before, describe, test } from 'node:test'
import { countUsers, email, password, signedUp, start } from '../lib/basalt.mjs'
import { claimsOf, unsigned } from '../lib/jwt.mjs'
import { atHash, makeKey, nonceOf, provider } from '../lib/provider.mjs'
import { timed, waitFor } from '../lib/wait.mjs'

let google, server
let people = 0

before(async () => {
  google = await provider()
  server = await start({ settings: settings(google) })
})

// Another node on the same database, as long as the test runs.
const nodes = []
async function beside(more) {
  nodes.push(await server.beside(more))
  return nodes.at(-1)
}
afterEach(() => Promise.all(nodes.splice(0).map((node) => node.stop())))

const settings = (at, more = {}) => ({
  rate_limits: 'off', google_enabled: true, google_client_id: 'app-web,app-android', google_keys_url: at.url,
  ...more,
})

// Claims of somebody new.
const person = (more = {}) => ({ sub: `10${process.pid}${++people}`, email: email('g'), email_verified: true,
  name: 'Grace Hopper', picture: 'https://example.com/grace.png', ...more })

const app = (id_token, more = {}, prefix = '/auth', on = server) =>
  on.app('POST', `${prefix}/google`, { json: { id_token, ...more } })
const grant = (id_token, more = {}, options = {}, on = server) =>
  on.auth('POST', '/token?grant_type=id_token', { json: { provider: 'google', id_token, ...more }, ...options })

const userOf = async (address) => (await server.sql(
  `select id, email, encrypted_password, email_confirmed_at, phone, raw_user_meta_data as data,
     raw_app_meta_data as app from auth.users where email = $1`, [address]))[0]
const identitiesOf = (id) => server.sql(
  'select provider, provider_id, identity_data from auth.identities where user_id = $1 order by provider', [id])

function refused(answer, status, error, words) {
  assert.equal(answer.status, status, answer.text)
  assert.equal(answer.json.error, error)
  if (words) assert.match(answer.json.message, words)
}

// Of the grant, in both versions of errors.
async function grantRefused(token, status, code, words, more) {
  const now = await grant(token, more)
  assert.equal(now.status, status, now.text)
  assert.deepEqual([now.json.code, now.json.message], [code, words])
  const then = await grant(token, more, { version: null })
  assert.equal(then.status, status, then.text)
  assert.deepEqual([then.json.code, then.json.error_code, then.json.msg], [status, code, words])
}

// The OAuth-style body is the same in both.
async function grantRefusedOAuth(token, error, description, more) {
  for (const version of ['2024-01-01', null]) {
    const answer = await grant(token, more, { version })
    assert.equal(answer.status, 400, answer.text)
    assert.deepEqual(answer.json, { error, error_description: description })
  }
}

describe('somebody new', () => {
  for (const prefix of ['/auth', '/v1/auth']) {
    test(`POST /api${prefix}/google makes user, identity, profile and session`, async () => {
      const who = person()
      const answer = await app(google.token(who), {}, prefix)
      assert.equal(answer.status, 200, answer.text)
      const { json } = answer
      assert.equal(json.is_new_user, true)
      assert.equal(json.email, who.email)
      assert.equal(json.full_name, 'Grace Hopper')
      assert.equal(json.avatar_url, who.picture)
      assert.equal(json.role, 'basic_user')
      assert.equal(json.token_type, 'bearer')
      assert.equal(answer.headers['cache-control'], 'no-store')
      const claims = claimsOf(json.access_token)
      assert.equal(claims.sub, json.user_id)
      assert.equal(claims.amr[0].method, 'oauth')
      assert.deepEqual(claims.app_metadata, { provider: 'google', providers: ['google'] })
      const user = await userOf(who.email)
      assert.equal(user.encrypted_password, '')
      assert.ok(user.email_confirmed_at)
      const [identity, ...others] = await identitiesOf(user.id)
      assert.deepEqual(others, [])
      assert.equal(identity.provider, 'google')
      assert.equal(identity.provider_id, who.sub)
      assert.deepEqual(identity.identity_data, { iss: 'https://accounts.google.com', sub: who.sub, name: who.name,
        full_name: who.name, picture: who.picture, avatar_url: who.picture, email: who.email,
        email_verified: true, phone_verified: false, provider_id: who.sub })
      assert.equal((await server.app('GET', `${prefix}/me`, { token: json.access_token })).status, 200)
      assert.equal((await server.app('POST', `${prefix}/refresh`,
        { json: { refresh_token: json.refresh_token } })).status, 200)
      const events = await server.sql(
        'select name, detail from basalt.audit_event where subject_id = $1 order by seq', [user.id])
      assert.deepEqual(events.slice(0, 2).map((e) => [e.name, e.detail.provider]),
        [['user_signedup', 'google'], ['login', 'google']])
      // and again: the same user
      const again = await app(google.token({ ...who, name: 'Admiral Hopper' }), {}, prefix)
      assert.equal(again.status, 200, again.text)
      assert.equal(again.json.is_new_user, false)
      assert.equal(again.json.user_id, json.user_id)
      assert.equal((await userOf(who.email)).data.name, 'Admiral Hopper')
      // who has no password deletes the account without
      assert.equal((await server.app('DELETE', `${prefix}/delete-account`,
        { token: json.access_token })).status, 200)
    })
  }

  test('the id_token grant answers a Session, by provider or by client_id and issuer', async () => {
    const who = person()
    const answer = await grant(google.token(who))
    assert.equal(answer.status, 200, answer.text)
    assert.equal(answer.json.user.email, who.email)
    assert.equal(answer.json.user.identities[0].provider, 'google')
    assert.ok(answer.json.user.email_confirmed_at)
    assert.equal(answer.headers['sb-auth-user-id'], answer.json.user.id)
    const other = await grant(google.token(who),
      { provider: undefined, client_id: 'app-web', issuer: 'https://accounts.google.com' })
    assert.equal(other.status, 200, other.text)
    assert.equal(other.json.user.id, answer.json.user.id)
  })

  test('twenty first sign-ins at once are one user', async () => {
    const who = person()
    const answers = await Promise.all(Array.from({ length: 20 }, () => app(google.token(who))))
    for (const answer of answers) assert.ok([200, 409].includes(answer.status), answer.text)
    assert.ok(answers.some((answer) => answer.status === 200))
    assert.equal(await countUsers(server, who.email), 1)
    assert.equal((await identitiesOf((await userOf(who.email)).id)).length, 1)
  })

  test('an address that Google has not verified makes nobody', async () => {
    for (const more of [{ email_verified: false }, { email_verified: undefined }, { email: undefined },
      { email_verified: 'false' }, { email: 'not an address' }]) {
      const who = person(more)
      refused(await app(google.token(who)), 403, 'provider_email_needs_verification')
      await grantRefused(google.token(who), 422, 'provider_email_needs_verification',
        'Unverified email with google. Verify the email with google in order to sign in')
      if (who.email) assert.equal(await countUsers(server, who.email), 0)
    }
  })

  test('where signing up is off, only those who are known get in', async () => {
    const known = person()
    assert.equal((await app(google.token(known))).status, 200)
    const node = await beside(settings(google, { disable_signup: true }))
    const who = person()
    refused(await app(google.token(who), {}, '/auth', node), 403, 'signup_disabled')
    const answer = await grant(google.token(who), {}, {}, node)
    assert.deepEqual([answer.status, answer.json.code], [422, 'signup_disabled'])
    assert.equal((await app(google.token(known), {}, '/auth', node)).status, 200)
    assert.equal(await countUsers(server, who.email), 0)
  })

  test('a profile that cannot be made leaves nothing behind', async () => {
    await server.sql('alter table public.profiles rename to profiles_away')
    const who = person()
    try {
      refused(await app(google.token(who)), 500, 'unexpected_failure', /^Failed to create profile/)
      assert.equal(await countUsers(server, who.email), 0)
    } finally {
      await server.sql('alter table public.profiles_away rename to profiles')
    }
    assert.equal((await app(google.token(who))).status, 200)
  })
})

describe('linking', () => {
  test('a user who has proven that address keeps everything and gains the identity', async () => {
    const who = person()
    const made = await server.app('POST', '/auth/register',
      { json: { email: who.email, password, name: 'Grace', role: 'Creator' } })
    assert.equal(made.status, 201, made.text)
    await server.sql(`update auth.identities set identity_data = identity_data || '{"email_verified": true}'
      where user_id = $1`, [made.json.user_id]) // as a mail does; this server confirms without one
    const answer = await app(google.token({ ...who, email: who.email.toUpperCase() }))
    assert.equal(answer.status, 200, answer.text)
    assert.equal(answer.json.is_new_user, false)
    assert.equal(answer.json.user_id, made.json.user_id)
    assert.equal(answer.json.role, 'Creator')
    assert.equal(answer.json.name, 'Grace')
    const user = await userOf(who.email)
    assert.deepEqual(user.app.providers, ['email', 'google'])
    assert.deepEqual((await identitiesOf(user.id)).map((i) => i.provider), ['email', 'google'])
    assert.equal((await server.app('POST', '/auth/login', { json: { email: who.email, password } })).status, 200)
    assert.equal((await server.app('GET', '/auth/me', { token: made.json.access_token })).status, 200)
    const linked = await server.sql(
      `select 1 from basalt.audit_event where subject_id = $1 and name = 'identity_linked'`, [user.id])
    assert.equal(linked.length, 1)
  })

  test('whoever registered the address first without proving it loses all they set', async () => {
    const who = person()
    const attacker = await server.service('POST', '/admin/users', {
      json: { email: who.email, password: 'attackers-own-1', user_metadata: { name: 'Mallory', note: 'mine' } },
    })
    assert.equal(attacker.status, 200, attacker.text)
    const { id } = attacker.json
    await server.sql(`insert into auth.identities (provider_id, user_id, identity_data, provider, created_at)
      values ('evil', $1, '{"sub":"evil"}', 'github', now())`, [id])
    await server.sql(`insert into auth.sessions (id, user_id, created_at, updated_at)
      values (gen_random_uuid(), $1, now(), now())`, [id])
    await server.sql(`insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to)
      values (gen_random_uuid(), $1, 'recovery_token', 'abc', $2)`, [id, who.email])
    await server.sql(`update auth.users set recovery_token = 'abc', phone = '4915100' where id = $1`, [id])
    const answer = await app(google.token(who))
    assert.equal(answer.status, 200, answer.text)
    assert.equal(answer.json.user_id, id)
    assert.equal(answer.json.is_new_user, false)
    const user = await userOf(who.email)
    assert.equal(user.encrypted_password, '')
    assert.equal(user.phone, null)
    assert.ok(user.email_confirmed_at)
    assert.equal(user.data.note, undefined)
    assert.equal(user.data.name, who.name)
    assert.deepEqual(user.app, { provider: 'google', providers: ['google'] })
    assert.deepEqual((await identitiesOf(id)).map((i) => i.provider), ['google'])
    const [left] = await server.sql(`select
      (select count(*)::int from auth.sessions where user_id = $1) as sessions,
      (select count(*)::int from auth.one_time_tokens where user_id = $1) as tokens,
      (select recovery_token from auth.users where id = $1) as recovery`, [id])
    assert.deepEqual(left, { sessions: 1, tokens: 0, recovery: '' })
    assert.equal(answer.json.name, who.name)
    assert.equal((await server.app('POST', '/auth/login',
      { json: { email: who.email, password: 'attackers-own-1' } })).status, 401)
  })

  test('an unverified address of Google\'s joins nobody, however confirmed ours is', async () => {
    const who = person({ email_verified: false })
    const made = await server.app('POST', '/auth/register', { json: { email: who.email, password } })
    assert.equal(made.status, 201)
    refused(await app(google.token(who)), 403, 'provider_email_needs_verification')
    assert.deepEqual((await identitiesOf(made.json.user_id)).map((i) => i.provider), ['email'])
  })

  test('the subject decides, not the address: it may change at Google', async () => {
    const who = person()
    const first = await app(google.token(who))
    assert.equal(first.status, 200)
    const moved = await app(google.token({ ...who, email: email('moved') }))
    assert.equal(moved.status, 200, moved.text)
    assert.equal(moved.json.user_id, first.json.user_id)
    const unverified = await app(google.token({ ...who, email_verified: false }))
    assert.equal(unverified.status, 200, unverified.text)
  })

  test('a banned user stays out', async () => {
    const who = person()
    const { json } = await app(google.token(who))
    await server.service('PUT', `/admin/users/${json.user_id}`, { json: { ban_duration: '24h' } })
    refused(await app(google.token(who)), 403, 'user_banned')
    await grantRefused(google.token(who), 400, 'user_banned', 'User is banned')
  })

  test('an address that was unconfirmed again stays out', async () => {
    const who = person()
    const { json } = await app(google.token(who))
    await server.sql('update auth.users set email_confirmed_at = null where id = $1', [json.user_id])
    refused(await app(google.token(who)), 403, 'email_not_confirmed')
    await grantRefused(google.token(who), 400, 'email_not_confirmed', 'Email not confirmed')
  })

  test('a user whose profile is gone is told so and gets no session', async () => {
    const who = person()
    const { json } = await app(google.token(who))
    await server.sql('delete from public.profiles where id = $1', [json.user_id])
    await server.sql('delete from auth.sessions where user_id = $1', [json.user_id])
    refused(await app(google.token(who)), 404, 'profile_not_found')
    assert.deepEqual(await server.sql('select id from auth.sessions where user_id = $1', [json.user_id]), [])
  })

  test('the grant links on demand only where that is switched on', async () => {
    await grantRefused(google.token(person()), 404, 'manual_linking_disabled', 'Manual linking is disabled',
      { link_identity: true })
  })

  test('linking on demand: to whoever asks, whatever the address; once', async () => {
    const node = await beside(settings(google, { manual_linking: true }))
    const user = await signedUp(server)
    const who = person()
    const link = (token, bearer) => grant(token, { link_identity: true }, { token: bearer }, node)
    const answer = await link(google.token(who), user.token)
    assert.equal(answer.status, 200, answer.text)
    assert.equal(answer.json.user.id, user.id)
    assert.deepEqual(answer.json.user.app_metadata.providers, ['email', 'google'])
    assert.equal(answer.json.user.email, user.email)
    assert.equal((await app(google.token(who))).json.user_id, user.id)
    assert.equal(await countUsers(server, who.email), 0)
    for (const [bearer, words] of [[user.token, 'Identity is already linked'],
      [(await signedUp(server)).token, 'Identity is already linked to another user']]) {
      const again = await link(google.token(who), bearer)
      assert.deepEqual([again.status, again.json.code, again.json.message], [422, 'identity_already_exists', words])
      const then = await grant(google.token(who), { link_identity: true }, { token: bearer, version: null }, node)
      assert.deepEqual([then.status, then.json.error_code], [422, 'identity_already_exists'])
    }
    for (const [bearer, status, code] of [[server.keys.anon, 403, 'bad_jwt'], ['x.y.z', 403, 'bad_jwt']]) {
      const stranger = await link(google.token(person()), bearer)
      assert.deepEqual([stranger.status, stranger.json.code], [status, code])
    }
  })
})

describe('tokens that are refused', () => {
  const now = () => Math.floor(Date.now() / 1000)
  const bad = 'Bad ID token'
  const audience = 'Unacceptable audience in id_token'
  const lies = [
    ['another issuer', () => google.token(person({ iss: 'https://accounts.example.com' })), bad],
    ['an issuer that only begins so', () => google.token(person({ iss: 'https://accounts.google.com.evil.example' })), bad],
    ['no issuer', () => google.token(person({ iss: undefined })), bad],
    ['another audience', () => google.token(person({ aud: 'other-app' })), audience],
    ['no audience', () => google.token(person({ aud: undefined })), audience],
    ['an audience that is an object', () => google.token(person({ aud: { a: 'app-web' } })), audience],
    ['several audiences and no azp', () => google.token(person({ aud: ['app-web', 'other'], azp: undefined })), audience],
    ['several audiences and a foreign azp', () => google.token(person({ aud: ['app-web', 'other'], azp: 'other' })), audience],
    ['no subject', () => google.token(person({ sub: undefined })), 'Missing sub claim in id_token'],
    ['expired', () => google.token(person({ exp: now() - 1 })), bad],
    ['no end', () => google.token(person({ exp: undefined })), bad],
    ['not yet valid', () => google.token(person({ nbf: now() + 600 })), bad],
    ['issued in the future', () => google.token(person({ iat: now() + 3600, exp: now() + 7200 })), bad],
    ['no date of issue', () => google.token(person({ iat: undefined })), bad],
    ['a key that was never published', () => google.token(person(), { key: makeKey() }), bad],
    ['another key under the published name', () => google.token(person(), { key: makeKey(google.key.kid) }), bad],
    ['no key name', () => google.token(person(), { header: { kid: undefined } }), bad],
    ['alg none', () => unsigned(google.claims(person()), { alg: 'none', kid: google.key.kid }), bad],
    ['the public key as a secret', () => google.confused(person()), bad],
    ['another alg than the key\'s', () => google.token(person(), { header: { alg: 'RS512' } }), bad],
    ['a key of its own in the header', () => {
      const key = makeKey()
      return google.token(person(), { key, header: { jwk: key.jwk } })
    }, bad],
    ['one flipped bit', () => google.token(person()).replace(/.$/, (c) => (c === 'A' ? 'B' : 'A')).replace(/\.(.)/, (m, c) => `.${c}`).slice(0, -4) + 'AAAA', bad],
    ['a session\'s own access token', async () => (await app(google.token(person()))).json.access_token, bad],
    ['nonsense', () => 'x.y.z', bad],
    ['64 KiB', () => `a.${'b'.repeat(15000)}.c`, bad],
  ]
  for (const [what, token, words] of lies) {
    test(what, async () => {
      const text = await token()
      refused(await app(text), 401, 'invalid_credentials', /^Invalid Google token$/)
      await grantRefusedOAuth(text, 'invalid request', words)
    })
  }

  test('an audience in a list, and Android\'s azp, are fine', async () => {
    assert.equal((await app(google.token(person({ aud: ['app-web'] })))).status, 200)
    assert.equal((await app(google.token(person({ aud: ['app-web', 'other'], azp: 'app-android' })))).status, 200)
    assert.equal((await app(google.token(person({ azp: 'android-of-the-project' })))).status, 200)
    assert.equal((await app(google.token(person({ iss: 'accounts.google.com' })))).status, 200)
    assert.equal((await app(google.token(person({ email_verified: 'true' })))).status, 200)
  })

  test('the nonce is in both or in neither, and fits', async () => {
    const with_ = () => google.token(person({ nonce: nonceOf('once') }))
    assert.equal((await app(with_(), { nonce: 'once' })).status, 200)
    assert.equal((await grant(with_(), { nonce: 'once' })).status, 200)
    const both = 'Passed nonce and nonce in id_token should either both exist or not.'
    for (const [token, more, error, words] of [
      [with_(), {}, 'invalid request', both],
      [google.token(person()), { nonce: 'once' }, 'invalid request', both],
      [with_(), { nonce: 'twice' }, 'invalid nonce', 'Nonces mismatch'],
      [with_(), { nonce: nonceOf('once') }, 'invalid nonce', 'Nonces mismatch'],
    ]) {
      refused(await app(token, more), 401, 'invalid_credentials')
      await grantRefusedOAuth(token, error, words, more)
    }
    const node = await beside(settings(google, { google_skip_nonce_check: true }))
    assert.equal((await app(with_(), {}, '/auth', node)).status, 200)
  })

  test('an access token that is sent has to be the one of the ID token', async () => {
    const token = () => google.token(person({ at_hash: atHash('opaque') }))
    assert.equal((await app(token(), { access_token: 'opaque' })).status, 200)
    assert.equal((await app(token())).status, 200)
    refused(await app(token(), { access_token: 'another' }), 401, 'invalid_credentials')
    await grantRefusedOAuth(token(), 'invalid request', bad, { access_token: 'another' })
  })

  test('each is an audit event without a name', async () => {
    const answer = await app(google.token(person({ aud: 'other-app' })))
    const event = await waitFor('the event', () => server.events('audit').find((one) =>
      one.name === 'login_failed' && one.request_id === answer.json.request_id))
    assert.equal(event.outcome, 'failure')
    assert.match(JSON.stringify(event.detail), /id_token/)
  })

  test('what is missing', async () => {
    await grantRefusedOAuth(undefined, 'invalid request', 'id_token required')
    await grantRefusedOAuth(google.token(person()), 'invalid request',
      'provider or client_id and issuer required', { provider: undefined, issuer: 'https://accounts.google.com' })
    refused(await app(undefined), 422, 'validation_failed', /id_token/)
    refused(await app(5), 422, 'validation_failed', /id_token/)
    refused(await server.app('POST', '/auth/google', { body: '{' }), 400, 'bad_json')
  })

  test('providers that are not there', async () => {
    const token = google.token(person())
    await grantRefused(token, 400, 'provider_disabled',
      'Provider (issuer "https://appleid.apple.com") is not enabled', { provider: 'apple' })
    await grantRefused(token, 400, 'validation_failed', 'Custom OIDC provider "https://evil.example" not allowed',
      { provider: undefined, client_id: 'app-web', issuer: 'https://evil.example' })
    const node = await beside({ rate_limits: 'off' })
    refused(await app(token, {}, '/auth', node), 403, 'provider_disabled', /^Google sign-in is disabled$/)
    for (const [version, code] of [['2024-01-01', 'provider_disabled'], [null, 400]]) {
      const answer = await grant(token, {}, { version }, node)
      assert.deepEqual([answer.status, answer.json.code], [400, code])
      assert.equal(answer.json.message ?? answer.json.msg,
        'Provider (issuer "https://accounts.google.com") is not enabled')
    }
  })
})

describe('the provider\'s keys', () => {
  test('a rotation logs nobody out: the new key is fetched when it is first seen', async () => {
    google.rotate()
    const who = person()
    await waitFor('the new key', async () => (await app(google.token(who))).status === 200, 20_000, 500)
  })

  test('forged key names cost the provider next to nothing', async () => {
    const key = makeKey()
    const from = google.requests
    const { ms } = await timed(async () => {
      for (let i = 0; i < 50; i++)
        assert.equal((await app(google.token(person(), { key: { ...key, kid: `forged-${i}` } }))).status, 401)
    })
    const loops = 2
    assert.ok(google.requests - from <= loops * (1 + Math.floor(ms / 5000)), `${google.requests - from} fetches`)
  })

  test('a key for encryption, a secret and a private key are passed over', async () => {
    const at = await provider()
    const { key } = at
    const symmetric = { kty: 'oct', kid: 'secret', alg: 'HS256', k: Buffer.alloc(32, 1).toString('base64url') }
    const private_ = { ...makeKey('private').privateKey.export({ format: 'jwk' }), kid: 'private', alg: 'RS256',
      key_ops: ['sign'] }
    const es = makeKey('es', 'ES256')
    at.published = [symmetric, private_, { ...makeKey('enc').jwk, use: 'enc' }, { kty: 'XYZ', kid: 'x' },
      es.jwk, key.jwk]
    const node = await beside(settings(at))
    assert.equal((await app(at.token(person()), {}, '/auth', node)).status, 200)
    assert.equal((await app(at.token(person(), { key: es }), {}, '/auth', node)).status, 200)
    const { sign } = await import('../lib/jwt.mjs')
    const forged = sign(at.claims(person()), Buffer.alloc(32, 1), { alg: 'HS256', kid: 'secret', typ: 'JWT' })
    refused(await app(forged, {}, '/auth', node), 401, 'invalid_credentials')
  })

  for (const mode of ['fail', 'nonsense', 'huge', 'empty', 'hang']) {
    test(`a provider in mode ${mode} is 503 with Retry-After in time, and well again after`, async () => {
      const at = await provider()
      const node = await beside(settings(at))
      at.mode = mode
      const { value: answer, ms } = await timed(() => app(at.token(person()), {}, '/auth', node))
      refused(answer, 503, 'provider_unavailable', /keys of the identity provider/)
      assert.ok(Number(answer.headers['retry-after']) >= 1)
      assert.ok(ms < 10_000 * 3, `${ms} ms`)
      const wire = await grant(at.token(person()), {}, { version: null }, node)
      assert.deepEqual([wire.status, wire.json.error_code], [503, 'provider_unavailable'])
      at.mode = 'well'
      const who = person()
      await waitFor('signing in again', async () => (await app(at.token(who), {}, '/auth', node)).status === 200,
        30_000, 200)
    })
  }

  test('what was fetched is used while the provider is away; nothing else waits for it', async () => {
    const at = await provider()
    const node = await beside(settings(at))
    assert.equal((await app(at.token(person()), {}, '/auth', node)).status, 200)
    at.mode = 'hang'
    assert.equal((await app(at.token(person()), {}, '/auth', node)).status, 200)
  })
})

test('settings that cannot work stop the start', async () => {
  const { command, scratch } = await import('../lib/basalt.mjs')
  for (const [more, words] of [[{ google_enabled: true }, /google_client_id/],
    [{ google_enabled: true, google_client_id: 'a', google_keys_url: 'http://keys.example.com/' }, /https/]]) {
    const answer = await command(['serve', '--data', `${scratch()}/data`], {
      settings: { listen: '127.0.0.1:0', admin_listen: 'off', database_url: server.db, ...more } })
    assert.equal(answer.code, 2, answer.stderr)
    assert.match(answer.stderr, words)
  }
})
