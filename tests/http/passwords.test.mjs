// SPDX-License-Identifier: Apache-2.0
// What a password must be like: length, characters, and not one of those that everybody tries first.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import http from 'node:http'
import { after, before, describe, test } from 'node:test'
import { email, password, signedUp, start } from '../lib/basalt.mjs'
import { isRefusal } from '../lib/refused.mjs'

let server, strict
const pwned = 'Password is known to be weak and easy to guess, please choose a different one.'
const sets = 'abcdefghijklmnopqrstuvwxyz:ABCDEFGHIJKLMNOPQRSTUVWXYZ:0123456789:!\\:'

before(async () => {
  server = await start()
  strict = await server.beside({ password_blocklist: 'refuse', password_min_length: 8,
    password_required_characters: sets })
})

const signup = (where, word, more = {}) =>
  where.auth('POST', '/signup', { json: { email: email('pw'), password: word }, ...more })
const login = (where, address, word) => where.auth('POST', '/token?grant_type=password',
  { json: { email: address, password: word } })

// Both dialects tell the reasons beside the refusal.
async function weak(send, reasons, message) {
  for (const version of [null, '2024-01-01']) {
    const answer = await send(version)
    isRefusal(answer, { status: 422, code: 'weak_password', message, version })
    assert.deepEqual(answer.json.weak_password, { reasons })
  }
}

describe('by default', () => {
  test('a common one is taken, and the session says so, at signup and at login', async () => {
    const expected = { message: pwned, reasons: ['pwned'] }
    for (const word of ['password', 'PassWord', 'qwerty123', 'michael', 'iloveyou']) {
      const made = await signup(server, word)
      assert.equal(made.status, 200, made.text)
      assert.deepEqual(made.json.weak_password, expected, word)
      const again = await login(server, made.json.user.email, word)
      assert.deepEqual(again.json.weak_password, expected)
      const next = await server.auth('POST', '/token?grant_type=refresh_token',
        { json: { refresh_token: again.json.refresh_token } })
      assert.equal(next.json.weak_password, undefined)
    }
  })

  test('nothing is said of another', async () => {
    for (const word of [password, 'correct horse', 'SecurePass-77!', 'påsswörd-ünd-mehr', 'x'.repeat(65)]) {
      const made = await signup(server, word)
      assert.equal(made.status, 200, made.text)
      assert.equal(made.json.weak_password, undefined, word)
    }
  })

  test('too short is refused', () => weak((version) => signup(server, 'abcde', { version }),
    ['length'], 'Password should be at least 6 characters.'))

  test('a short one of former times logs in and is told', async () => {
    const user = await signedUp(server)
    const answer = await login(strict, user.email, password)
    assert.equal(answer.json.weak_password.reasons.join(), 'characters')
  })

  test('no byte of a long one is ignored', async () => {
    const word = `${'long '.repeat(200)}end`
    const made = await signup(server, word)
    assert.equal(made.status, 200)
    for (const [tried, status] of [[word, 200], [`${word.slice(0, -1)}x`, 400],
      [word.slice(0, 72), 400]])
      assert.equal((await login(server, made.json.user.email, tried)).status, status)
    for (const version of [null, '2024-01-01'])
      isRefusal(await signup(server, 'x'.repeat(4097), { version }),
        { status: 400, code: 'validation_failed', message: /password/, version })
  })
})

describe('with rules of its own', () => {
  const characters = 'Password should contain at least one character of each: ' +
    'abcdefghijklmnopqrstuvwxyz, ABCDEFGHIJKLMNOPQRSTUVWXYZ, 0123456789, !:.'
  test('reasons come in order: length, characters, pwned', async () => {
    const cases = [
      ['Aa1!', ['length'], 'Password should be at least 8 characters.'],
      ['abcdefgh-nobody', ['characters'], characters],
      ['Aa1 but nothing of the fourth', ['characters'], characters],
      ['dragon', ['length', 'characters', 'pwned'],
        `Password should be at least 8 characters. ${characters} ${pwned}`],
      ['sunshine', ['characters', 'pwned'], `${characters} ${pwned}`],
    ]
    for (const [word, reasons, message] of cases)
      await weak((version) => signup(strict, word, { version }), reasons, message)
  })

  test('a colon may be one of a set', async () => {
    for (const word of ['Aa345678:', 'Aa345678!'])
      assert.equal((await signup(strict, word)).status, 200, word)
    assert.equal((await signup(strict, 'Aa345678\\')).status, 422)
  })

  test('an administrator is bound by them when he changes one, not when he makes a user', async () => {
    const made = await strict.service('POST', '/admin/users',
      { json: { email: email('pw'), password: 'dragon' } })
    assert.equal(made.status, 200, made.text)
    await weak((version) => strict.service('PUT', `/admin/users/${made.json.id}`,
      { json: { password: 'sunshine' }, version }), ['characters', 'pwned'],
    `${characters} ${pwned}`)
  })

  test('refusing common ones alone', async () => {
    const refusing = await server.beside({ password_blocklist: 'refuse' })
    await weak((version) => signup(refusing, 'football', { version }), ['pwned'], pwned)
    const off = await server.beside({ password_blocklist: 'off' })
    const made = await signup(off, 'football')
    assert.equal(made.status, 200)
    assert.equal(made.json.weak_password, undefined)
  })
})

describe('known from a leak', () => {
  // The range API, of this test's own: what it was asked for, and the leaked words it knows.
  const asked = []
  const leaked = ['leaked-word-1', 'Correct-horse-7']
  const service = http.createServer((request, response) => {
    asked.push({ path: request.url, agent: request.headers['user-agent'] })
    if (request.url.startsWith('/broken')) return response.writeHead(500).end()
    const prefix = request.url.split('/').pop().toUpperCase()
    const digests = leaked.map((word) => createHash('sha1').update(word).digest('hex').toUpperCase())
    const lines = digests.filter((d) => d.startsWith(prefix)).map((d) => `${d.slice(5)}:17`)
    lines.push(`${'0'.repeat(35)}:3`, `${createHash('sha1').update('padded-word').digest('hex')
      .toUpperCase().slice(5)}:0`)
    response.end(lines.join('\r\n'))
  })
  let asking, broken, careful
  before(async () => {
    await new Promise((resolve) => service.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${service.address().port}`
    const at = (path, more) => server.beside({ password_hibp_enabled: true,
      password_hibp_url: url + path, ...more })
    asking = await at('')
    broken = await at('/broken')
    careful = await at('/broken', { password_hibp_fail_closed: true })
  })
  after(() => service.close())

  test('is refused at signup and change, and told at login; only five digits leave', async () => {
    await weak((version) => signup(asking, leaked[0], { version }), ['pwned'], pwned)
    assert.match(asked[0].path, /^\/range\/[0-9A-Fa-f]{5}$/)
    assert.equal(asked[0].agent, 'basalt')
    const user = await signedUp(asking, { password: 'never-leaked-8' })
    await weak((version) => asking.auth('PUT', '/user', { token: user.token,
      json: { password: leaked[0] }, version }), ['pwned'], pwned)
    await weak((version) => asking.service('PUT', `/admin/users/${user.id}`,
      { json: { password: leaked[0] }, version }), ['pwned'], pwned)
    const old = await signedUp(server)
    const again = await login(asking, old.email, password)
    assert.deepEqual(again.json.weak_password, { message: pwned, reasons: ['pwned'] })
    assert.equal((await signup(asking, 'padded-word')).status, 200)
  })

  test('while the service is away nobody waits, or nobody may, as it is set', async () => {
    const made = await signup(broken, leaked[0])
    assert.equal(made.status, 200, made.text)
    for (const version of [null, '2024-01-01'])
      isRefusal(await signup(careful, leaked[0], { version }), { status: 503,
        code: 'unexpected_failure', message: /cannot be checked/, version })
    assert.equal((await login(careful, made.json.user.email, leaked[0])).status, 200)
  })
})

test('doctor recommends to refuse common ones at a public address', async () => {
  const at = (more) => server.command(['doctor'], { settings: { listen: '0.0.0.0:1', ...more } })
  assert.match((await at({})).stdout, /password_blocklist=refuse/)
  assert.doesNotMatch((await at({ password_blocklist: 'refuse' })).stdout, /password_blocklist/)
})
