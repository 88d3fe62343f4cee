// SPDX-License-Identifier: Apache-2.0
// Keys that sign tokens: made, rotated and revoked while two nodes run, and nobody is logged out.
import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { before, describe, test } from 'node:test'
import { refreshed, signedUp, start } from '../lib/basalt.mjs'
import { claimsOf, headerOf, sign } from '../lib/jwt.mjs'
import { refused } from '../lib/refused.mjs'
import { patience, waitFor } from '../lib/wait.mjs'

let server
let node // another one on its database

before(async () => {
  server = await start()
  node = await server.beside()
})

const key = async (...words) => {
  const done = await server.command(['key', ...words])
  assert.equal(done.code, 0, done.stderr)
  return done.stdout
}
const ring = async () => JSON.parse(await key('list', '-o', 'json'))
const states = async () => (await ring()).map((k) => k.state)
const published = async (to = server) =>
  (await to.call('/auth/v1/.well-known/jwks.json')).json.keys
const works = async (token, to = server) => (await to.auth('GET', '/user', { token })).status === 200

const digests = { RS256: 'sha256', RS512: 'sha512', ES256: 'sha256', ES512: 'sha512', EdDSA: null }

// As any verifier would: by the published key that the header names, and nothing else.
async function verifies(token, to = server) {
  const header = headerOf(token)
  const jwk = (await published(to)).find((k) => k.kid === header.kid)
  assert.ok(jwk, `kid ${header.kid} is not published`)
  assert.equal(jwk.alg, header.alg)
  const [head, payload, signature] = token.split('.')
  return verify(digests[header.alg], Buffer.from(`${head}.${payload}`),
    { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' },
    Buffer.from(signature, 'base64url'))
}

describe('keys of basalt key', { concurrency: false }, () => {
  test('a rotation: every node signs with the new key, the old tokens and API keys go on', async () => {
    const user = await signedUp(server)
    assert.equal(headerOf(user.token).alg, 'HS256')
    assert.deepEqual(await published(), [])

    await key('create', 'ES256')
    assert.deepEqual(await states(), ['standby'])
    const [standby] = await waitFor('the standby key at the other node', async () => {
      const keys = await published(node)
      return keys.length === 1 && keys
    })
    assert.deepEqual(Object.keys(standby), ['kty', 'kid', 'alg', 'use', 'key_ops', 'crv', 'x', 'y'])
    assert.deepEqual(standby.key_ops, ['verify'])
    assert.equal(headerOf((await refreshed(server, user.refresh)).json.access_token).alg, 'HS256')

    await key('rotate')
    assert.deepEqual(await states(), ['in_use'])
    const fresh = await signedUp(server) // the listener hears before the next request
    for (const to of [server, node])
      await waitFor('the new key signs', async () =>
        headerOf((await signedUp(to)).token).kid === standby.kid)
    const modern = await signedUp(node)
    assert.deepEqual(headerOf(modern.token), { alg: 'ES256', kid: standby.kid, typ: 'JWT' })
    assert.ok(await verifies(modern.token, server))
    for (const to of [server, node])
      for (const token of [user.token, fresh.token, modern.token])
        assert.ok(await works(token, to))
    for (const apikey of Object.values(server.keys))
      assert.equal((await node.call('/auth/v1/settings', { headers: { apikey } })).status, 200)
    assert.equal((await node.service('GET', '/admin/users')).status, 200)
  })

  test('a change is true on every node within 100 ms', async () => {
    const former = await published()
    let at
    const done = key('rotate', 'EdDSA').then(() => (at = performance.now()))
    const heard = await waitFor('the new key at the other node', async () => {
      const keys = await published(node)
      return keys.length > former.length && performance.now()
    }, 10_000, 5).catch((error) => error)
    await done
    assert.equal(typeof heard, 'number', String(heard))
    assert.ok(heard - at < 100 * 3 * patience, `${heard - at} ms after the command had ended`)
  })

  for (const alg of ['RS256', 'ES256', 'EdDSA', 'RS512', 'ES512']) {
    test(`${alg} signs, and anybody can verify`, async () => {
      await key('rotate', alg)
      const kid = (await ring()).find((k) => k.state === 'in_use').kid
      const user = await waitFor('the new key signs', async () => {
        const made = await signedUp(server)
        return headerOf(made.token).kid === kid && made
      })
      assert.equal(headerOf(user.token).alg, alg)
      assert.ok(await verifies(user.token))
      assert.ok(await works(user.token, node))
    })
  }

  test('HS256 with a key of its own is not published', async () => {
    await key('rotate', 'HS256')
    const kid = (await ring()).find((k) => k.state === 'in_use').kid
    const user = await waitFor('the new key signs', async () => {
      const made = await signedUp(server)
      return headerOf(made.token).kid === kid && made
    })
    assert.ok(await works(user.token, node))
    assert.equal((await published()).find((k) => k.kid === kid), undefined)
  })

  test('a revoked key: its tokens end on every node, cached or not; refreshing gives new ones', async () => {
    const kid = (await ring()).find((k) => k.state === 'in_use').kid
    const user = await signedUp(server)
    assert.equal(headerOf(user.token).kid, kid)
    assert.ok(await works(user.token, server) && await works(user.token, node)) // now cached
    await key('rotate', 'ES256')
    assert.ok(await works(user.token, node))
    await key('revoke', kid)
    for (const to of [server, node])
      await waitFor('the token is refused', async () => !await works(user.token, to))
    await refused((version) => node.auth('GET', '/user', { token: user.token, version }),
      403, 'bad_jwt', /^invalid JWT: unable to parse or verify signature, /)
    const next = await refreshed(node, user.refresh)
    assert.equal(next.status, 200, next.text)
    assert.ok(await works(next.json.access_token))
    const row = (await ring()).find((k) => k.kid === kid)
    assert.equal(row.state, 'revoked')
    const [{ value }] = await server.sql(`select value from basalt.secret where name = 'JWT_KEYS'`)
    assert.equal(JSON.parse(value)[kid].jwk, undefined, 'the numbers of a revoked key are gone')
    await key('forget', kid)
    assert.equal((await ring()).find((k) => k.kid === kid), undefined)
  })

  test('what the states do not allow is refused with a sentence', async () => {
    const inUse = (await ring()).find((k) => k.state === 'in_use').kid
    const used = (await ring()).find((k) => k.state === 'previously_used').kid
    for (const [words, told] of [
      [['revoke', inUse], /is in_use: only one used before can be revoked/],
      [['forget', inUse], /is in_use: revoke it first/],
      [['forget', used], /is previously_used: revoke it first/],
      [['revoke', 'nobody'], /there is no key nobody/],
      [['create', 'none'], /an algorithm is one of/],
      [['create', 'HS512'], /an algorithm is one of/],
    ]) {
      const done = await server.command(['key', ...words])
      assert.equal(done.code, 1, done.stdout)
      assert.match(done.stderr, told)
    }
    for (const words of [['create'], ['revoke'], ['rotate', 'ES256', 'more'], ['list', '-o', 'env']])
      assert.equal((await server.command(['key', ...words])).code, 2)
    await key('create', 'ES256')
    const twice = await server.command(['key', 'create', 'ES256'])
    assert.match(twice.stderr, /there is a standby key/)
    const standby = (await ring()).find((k) => k.state === 'standby').kid
    await key('forget', standby)
  })

  test('two who rotate at once do it one after the other', async () => {
    const before = (await ring()).length
    await Promise.all([key('rotate', 'EdDSA'), key('rotate', 'EdDSA')])
    const now = await ring()
    assert.equal(now.length, before + 2)
    assert.equal(now.filter((k) => k.state === 'in_use').length, 1)
  })

  test('new sb_ keys work on every node without a restart, the former ones no more', async () => {
    const former = server.keys.secret
    const printed = await key('renew')
    const renewed = /^secret +(\S+)$/m.exec(printed)[1]
    const asks = async (to, apikey) =>
      (await to.call('/auth/v1/settings', { headers: { apikey } })).status
    for (const to of [server, node])
      await waitFor('the new key', async () => await asks(to, renewed) === 200
        && await asks(to, former) === 401)
  })

  test('every node tells of a change, in its log and as an audit event, by the kid alone', async () => {
    await key('rotate', 'ES256')
    const kid = (await ring()).find((k) => k.state === 'in_use').kid
    for (const to of [server, node])
      await waitFor('the log line', () => to.events('keys.changed').some((l) => l.message.includes(kid)))
    const rows = await waitFor('the audit events', async () => {
      const found = await server.sql(`select detail from basalt.audit_event
        where name = 'configuration_change' and detail->>'signing_key' = $1`, [kid])
      return found.length === 2 && found
    })
    assert.deepEqual(Object.keys(rows[0].detail).sort(), ['keys', 'signing_key'])
  })

  test('no private number is shown or logged', async () => {
    const [{ value }] = await server.sql(`select value from basalt.secret where name = 'JWT_KEYS'`)
    const secrets = Object.values(JSON.parse(value)).flatMap(({ jwk = {} }) =>
      ['d', 'k', 'p', 'q', 'dp', 'dq', 'qi'].map((name) => jwk[name]).filter(Boolean))
    assert.ok(secrets.length > 8)
    const shown = [server.log(), node.log(), await key('list'), await key('list', '-o', 'json'),
      (await server.command(['status'])).stdout, (await server.command(['status', '-o', 'json'])).stdout,
      (await server.call('/auth/v1/.well-known/jwks.json')).text, (await server.ops('/metrics')).text]
    for (const secret of secrets)
      for (const text of shown) assert.ok(!text.includes(secret))
  })

  test('what cannot be read is told, and the former keys stay', async () => {
    const [{ value }] = await server.sql(`select value from basalt.secret where name = 'JWT_KEYS'`)
    const user = await signedUp(server)
    const put = (text) => server.sql(
      `update basalt.secret set value = $1 where name = 'JWT_KEYS'`, [text])
    for (const text of ['[]', '{"a":{"alg":"ES256"}}', '{', value.replace('"in_use"', '"in_us"')]) {
      const said = server.events('keys.invalid').length
      await put(text)
      await waitFor('the log line', () => server.events('keys.invalid').length > said)
    }
    assert.ok(await works(user.token))
    assert.equal(headerOf((await signedUp(server)).token).kid, headerOf(user.token).kid)
    await put(value)
  })

  test('a restart keeps them, and the folder has its copy', async () => {
    const user = await signedUp(server)
    await node.stop()
    await server.restart()
    assert.ok(await works(user.token))
    assert.equal(headerOf((await signedUp(server)).token).kid, headerOf(user.token).kid)
    const file = path.join(server.data, 'secrets.env')
    assert.equal(fs.statSync(file).mode & 0o777, 0o600)
    assert.match(fs.readFileSync(file, 'utf8'), /^JWT_KEYS=\{/m)
  })
})

describe('keys by settings', () => {
  const pair = (kid, ops, alg = 'ES256') => ({ ...generateKeyPairSync('ec', { namedCurve: 'P-256' })
    .privateKey.export({ format: 'jwk' }), kid, alg, key_ops: ops })
  const rsa = (kid, ops) => ({ ...generateKeyPairSync('rsa', { modulusLength: 2048 })
    .privateKey.export({ format: 'jwk' }), kid, alg: 'RS256', key_ops: ops })

  test('jwt_keys rule, an old secret in the set verifies by its kid or as the fallback', async () => {
    const jwks = [pair('now', ['sign']), rsa('before', ['verify'])]
    const own = await server.beside({ jwt_keys: JSON.stringify(jwks) })
    const user = await signedUp(own)
    assert.deepEqual(headerOf(user.token), { alg: 'ES256', kid: 'now', typ: 'JWT' })
    assert.ok(await verifies(user.token, own))
    assert.deepEqual((await published(own)).map((k) => k.kid), ['now', 'before'])
    for (const header of [{ alg: 'HS256' }, { alg: 'HS256', kid: 'nobody knows' }])
      assert.ok(await works(sign(claimsOf(user.token), server.jwtSecret, header), own))
    await own.stop()
  })

  test('jwt_valid_methods', async () => {
    const jwt_keys = JSON.stringify([pair('now', ['sign'])])
    const own = await server.beside({ jwt_keys, jwt_valid_methods: 'ES256' })
    const user = await signedUp(own)
    assert.ok(await works(user.token, own))
    assert.equal((await own.service('GET', '/admin/users')).status, 200) // API keys are compared whole
    const old = sign(claimsOf(user.token), server.jwtSecret)
    await refused((version) => own.auth('GET', '/user', { token: old, version }), 403, 'bad_jwt',
      /signing method is invalid/)
    await own.stop()
  })

  for (const [what, settings, told] of [
    ['no key that signs', { jwt_keys: JSON.stringify([pair('a', ['verify'])]) }, /one key must have key_ops with sign/],
    ['two that sign', { jwt_keys: JSON.stringify([pair('a', ['sign']), pair('b', ['sign'])]) }, /only one key may have/],
    ['a signing algorithm that is not accepted', { jwt_valid_methods: 'RS512' }, /signing key's algorithm \w+ is not accepted/],
  ]) {
    test(`${what} stops the start`, async () => {
      await assert.rejects(server.beside(settings), told)
    })
  }
})
