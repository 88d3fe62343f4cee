// SPDX-License-Identifier: Apache-2.0
// Forged and malformed tokens over HTTP: none is a user, an administrator or an API key (RFC 8725).
import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, sign as signBytes } from 'node:crypto'
import { before, describe, test } from 'node:test'
import { signedUp, start } from '../lib/basalt.mjs'
import { claimsOf, headerOf, sign, unsigned } from '../lib/jwt.mjs'
import { refused } from '../lib/refused.mjs'
import { waitFor } from '../lib/wait.mjs'

let server // one key pair of every kind, ES256 signs
let user
let published
let issuer // a server with jwt_issuer

const b64 = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
const attacker = generateKeyPairSync('ec', { namedCurve: 'P-256' })

before(async () => {
  server = await start()
  for (const alg of ['RS256', 'ES256']) {
    const done = await server.command(['key', 'rotate', alg])
    assert.equal(done.code, 0, done.stderr)
  }
  user = await waitFor('the new key signs', async () => {
    const made = await signedUp(server)
    return headerOf(made.token).alg === 'ES256' && made
  })
  published = (await server.call('/auth/v1/.well-known/jwks.json')).json.keys
  issuer = await server.beside({ jwt_issuer: 'https://issuer.example' })
})

const now = () => Math.floor(Date.now() / 1000)
const claims = (more) => ({ ...claimsOf(user.token), ...more })
const genuine = (more, header) => sign(claims(more), server.jwtSecret, header)
const ownKey = (header, body = claims({ role: 'service_role' })) => {
  const text = `${b64(header)}.${b64(body)}`
  return `${text}.${signBytes('sha256', Buffer.from(text), { key: attacker.privateKey, dsaEncoding: 'ieee-p1363' })
    .toString('base64url')}`
}
const publicForms = (alg) => {
  const jwk = published.find((k) => k.alg === alg)
  const key = createPublicKey({ key: jwk, format: 'jwk' })
  return [JSON.stringify(jwk), key.export({ type: 'spki', format: 'pem' }), key.export({ type: 'spki', format: 'der' })]
}
const kidOf = (alg) => published.find((k) => k.alg === alg).kid

const head = () => user.token.split('.')[0]
const payload = () => user.token.split('.')[1]
const signature = () => user.token.split('.')[2]

// What is refused wherever a token is looked at: name, and the tokens.
const attacks = {
  'alg none, in any case, with and without a signature': () => ['none', 'None', 'NONE', 'nOnE', ''].flatMap((alg) =>
    [unsigned(claims({ role: 'service_role' }), { alg, typ: 'JWT' }),
      `${b64({ alg })}.${b64(claims({ role: 'service_role' }))}.${signature()}`]),
  'no alg, or one that is no text': () => [{}, { alg: null }, { alg: 1 }, { alg: ['HS256'] }, { alg: { name: 'HS256' } }]
    .map((header) => genuine({}, header)),
  'an algorithm that nobody offers': () => ['HS384', 'HS512', 'PS256', 'ES384', 'hs256', 'HS256 ', 'RS1']
    .map((alg) => genuine({}, { alg })),
  'an algorithm that is not the key\'s': () => published.flatMap(({ kid, alg }) =>
    ['HS256', 'RS256', 'ES256', 'RS512', 'EdDSA'].filter((other) => other !== alg)
      .map((other) => genuine({}, { alg: other, kid }))),
  'HS256 with a public key as the secret': () => ['RS256', 'ES256'].flatMap((alg) =>
    publicForms(alg).flatMap((secret) => [
      sign(claims({ role: 'service_role' }), secret, { alg: 'HS256', kid: kidOf(alg) }),
      sign(claims({ role: 'service_role' }), secret, { alg: 'HS256' })])),
  'a secret that anybody would try': () => ['', 'secret', 'super-secret-jwt-token-with-at-least-32-characters-long',
    server.keys.anon, server.keys.publishable].map((secret) => sign(claims(), secret)),
  'a kid that is a path, SQL, NUL or huge': () => ['../../../../dev/null', '/dev/null', '/proc/self/environ',
    "' or 1=1 --", "x' union select 'k", `${kidOf('ES256')}\0`, '\0', 'k'.repeat(256), 'k'.repeat(3000), 'http://127.0.0.1/key', '$(id)']
    .flatMap((kid) => [sign(claims(), '', { alg: 'HS256', kid }), ownKey({ alg: 'ES256', kid })]),
  'a kid that is no text': () => [1, true, ['a'], { a: 1 }].map((kid) => genuine({}, { alg: 'HS256', kid })),
  'a key that the token brings along': () => {
    const jwk = attacker.publicKey.export({ format: 'jwk' })
    return [{ jwk }, { jku: `${server.api}/keys.json` }, { x5u: 'http://127.0.0.1:1/c' }, { x5c: ['MIIB'] }, { jwk, kid: kidOf('ES256') }]
      .map((more) => ownKey({ alg: 'ES256', typ: 'JWT', ...more }))
  },
  'critical extensions': () => [{ crit: ['exp'] }, { crit: [] }, { crit: 'x' }, { b64: false, crit: ['b64'] }, { b64: false }]
    .map((more) => genuine({}, { alg: 'HS256', ...more })),
  'expired, now or long ago': () => [now(), now() - 1, 0, -1, 1.5, -1e300].map((exp) => genuine({ exp })),
  'not yet valid': () => [now() + 3600, 1e300].map((nbf) => genuine({ nbf })),
  'dates that are none': () => ['soon', null === 0, true, {}, [now() + 60], String(now() + 60)]
    .flatMap((date) => [genuine({ exp: date }), genuine({ nbf: date })]),
  'duplicate claims and header fields': () => {
    const body = JSON.stringify(claims())
    return [sign(`${body.slice(0, -1)},"role":"service_role"}`, server.jwtSecret),
      sign(`{"sub":"${user.id}",${body.slice(1)}`, server.jwtSecret),
      sign(claims(), server.jwtSecret, '{"alg":"HS256","alg":"none"}')]
  },
  'claims that are no object': () => ['[]', 'null', '"x"', '1', '', '{', '{"exp":}', `${JSON.stringify(claims())}x`, '\ufeff{}']
    .map((text) => sign(text, server.jwtSecret)),
  'claims of other types': () => [{ role: 1 }, { role: ['service_role'] }, { sub: {} }, { session_id: 1 }, { session_id: 'x' },
    { session_id: `${claimsOf(user.token).session_id}'` }, { role: 'x'.repeat(65) }].map((more) => genuine(more)),
  'deep nesting': () => [sign(`{"a":${'['.repeat(100)}${']'.repeat(100)},${JSON.stringify(claims()).slice(1)}`, server.jwtSecret)],
  'bad base64': () => [`${head()}.${payload()}.${signature().slice(0, -1)}!`, `${head()}=.${payload()}.${signature()}`,
    `${head()}.${payload()}==.${signature()}`, `${head()}.${payload()}.${signature()}=`,
    `${head()}.${payload()}.${Buffer.from(signature(), 'base64url').toString('base64')}`.replace(/[^+/=]$/, '+')],
  'another form of the same signature': () => {
    const last = signature().at(-1) // the four bits that do not count are zero, or it is another text
    const other = String.fromCharCode(last.charCodeAt(0) + 1)
    return [`${head()}.${payload()}.${signature().slice(0, -1)}${other}`]
  },
  'parts missing, empty or too many': () => [`${head()}.${payload()}`, `${head()}.${payload()}.`, `.${payload()}.${signature()}`,
    `${head()}..${signature()}`, '..', `${user.token}.`, `${user.token}.x`, `${user.token}.${signature()}.`, 'eyJ', `${head()}.`],
  'trailing garbage': () => [`${user.token}x`, `${user.token}%00`, `${user.token},${user.token}`],
  'changed contents under a genuine signature': () => [
    `${head()}.${b64(claims({ role: 'service_role' }))}.${signature()}`,
    `${b64({ ...headerOf(user.token), x: 1 })}.${payload()}.${signature()}`,
    `${head()}.${payload()}.${Buffer.alloc(64).toString('base64url')}`],
  'a zero signature, and one of another length': () => [Buffer.alloc(64), Buffer.alloc(0), Buffer.alloc(63, 1), Buffer.alloc(132, 1), Buffer.alloc(256)]
    .map((bytes) => `${head()}.${payload()}.${bytes.toString('base64url')}`),
  'the right secret, but another hash': () => [sign(claims(), server.jwtSecret, { alg: 'HS256' }, 'sha512')],
}

describe('refused as a bearer token, to administer and as an API key', () => {
  for (const [what, tokens] of Object.entries(attacks)) {
    test(what, async () => {
      const all = tokens()
      assert.ok(all.length > 0)
      for (const token of all) {
        const told = `${what}: ${token.slice(0, 200)}`
        try {
          await refused((version) => server.auth('GET', '/user', { token, version }), 403, 'bad_jwt', /^invalid JWT/)
        } catch (error) {
          throw new Error(told, { cause: error })
        }
        const admin = await server.auth('GET', '/admin/users', { token })
        assert.deepEqual([admin.status, admin.json.code], [403, 'bad_jwt'], told)
        const key = await server.call('/auth/v1/settings', { headers: { apikey: token } })
        assert.deepEqual([key.status, key.json.message], [401, 'Invalid API key'], told)
        const app = await server.app('GET', '/auth/profile', { token })
        assert.equal(app.status, 401, told)
      }
    })
  }
})

describe('genuine, but not for this', () => {
  test('a token of 64 KiB is refused before it is looked at', async () => {
    const answer = await server.auth('GET', '/user', { token: genuine({ x: 'y'.repeat(64 * 1024) }) })
    assert.equal(answer.status, 431)
    assert.equal((await server.auth('GET', '/user', { token: user.token })).status, 200)
  })

  test('another issuer', async () => {
    for (const iss of ['https://issuer.example/', 'https://evil.example', '', undefined, 1])
      await refused((version) => issuer.auth('GET', '/user', { token: genuine({ iss }), version }), 403, 'bad_jwt', /^invalid JWT/)
    assert.equal((await issuer.auth('GET', '/user', { token: genuine({ iss: 'https://issuer.example' }) })).status, 200)
  })

  test('another audience', async () => {
    for (const aud of ['other', 'authenticated2', ''])
      await refused((version) => server.auth('GET', '/user', { token: genuine({ aud }), version,
        headers: { 'x-jwt-aud': 'authenticated' } }), 400, 'validation_failed')
  })

  test('no subject, a subject that is no UUID, one that nobody has', async () => {
    await refused((version) => server.auth('GET', '/user', { token: genuine({ sub: undefined }), version }), 403, 'bad_jwt',
      'invalid claim: missing sub claim')
    await refused((version) => server.auth('GET', '/user', { token: genuine({ sub: "' or true" }), version }), 400, 'bad_jwt')
    await refused((version) => server.auth('GET', '/user', {
      token: genuine({ sub: '00000000-0000-4000-8000-000000000000' }), version }), 403, 'user_not_found')
  })

  test('a session that is over, another user\'s, or nobody\'s', async () => {
    const other = await signedUp(server)
    for (const session_id of [claimsOf(other.token).session_id, '00000000-0000-4000-8000-000000000000'])
      await refused((version) => server.auth('GET', '/user', { token: genuine({ session_id }), version }), 403, 'session_not_found')
  })

  test('a role that gives nothing: no administrator, no API key', async () => {
    for (const role of ['postgres', 'supabase_auth_admin', 'authenticator', 'pg_read_server_files', 'SERVICE_ROLE', 'service_role ',
      'service_role,supabase_admin', 'anon', '']) {
      const token = genuine({ role })
      await refused((version) => server.auth('GET', '/admin/users', { token, version }), 403, 'not_admin')
      const key = await server.call('/auth/v1/settings', { headers: { apikey: token } })
      assert.equal(key.status, 401, role)
    }
    // whose session is over is no administrator either, whatever the role
    const gone = genuine({ role: 'service_role', session_id: '00000000-0000-4000-8000-000000000000' })
    await refused((version) => server.auth('GET', '/admin/users', { token: gone, version }), 403, 'session_expired')
  })

  test('what is right stays right', async () => {
    for (const token of [user.token, genuine(), genuine({ nbf: now() - 1 }), genuine({}, { alg: 'HS256', kid: 'nobody knows' })])
      assert.equal((await server.auth('GET', '/user', { token })).status, 200)
  })
})
