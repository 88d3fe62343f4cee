// SPDX-License-Identifier: Apache-2.0
// Wrong passwords make the next attempt wait, longer each time, and lock nobody out of their account.
import { before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { email, loggedIn, password, start } from '../lib/basalt.mjs'
import { refused } from '../lib/refused.mjs'
import * as sql from '../lib/sql.mjs'
import { Redis } from '../lib/redis.mjs'
import { waitFor } from '../lib/wait.mjs'

let server
let hosts = 0
const stranger = () => `203.0.113.${++hosts}`
const limits = { rate_limits: 'on', trusted_proxies: '127.0.0.1' }
const login = (user, ip, word = user.password, { on = server, ...more } = {}) =>
  on.auth('POST', '/token?grant_type=password', {
    json: { email: user.email, password: word }, headers: { 'x-forwarded-for': ip }, ...more })
const wrong = (user, ip, more) => login(user, ip, 'Wrong-horse-7', more)

async function wrongTimes(n, user, ip, more) {
  for (let i = 0; i < n; i++) {
    const answer = await wrong(user, typeof ip === 'function' ? ip() : ip, more)
    assert.equal(answer.status, 400, `guess ${i + 1}: ${answer.text}`)
  }
}

// A user whose only known network is `home`.
async function userAt(home, on = server) {
  const address = email()
  const answer = await on.auth('POST', '/signup', {
    json: { email: address, password }, headers: { 'x-forwarded-for': home } })
  assert.equal(answer.status, 200, answer.text)
  return { id: answer.json.user.id, email: address, password }
}

before(async () => {
  server = await start({ settings: limits })
})

describe('one network at one account', () => {
  test('waits after five wrong passwords, whatever comes next, and pays for no hash', async () => {
    const user = await userAt(stranger()), ip = stranger()
    await wrongTimes(5, user, ip)
    const next = await login(user, ip)
    assert.equal(next.status, 429)
    const wait = Number(next.headers['retry-after'])
    assert.ok(wait > 50 && wait <= 60, `a minute: ${wait}`)
    assert.doesNotMatch(next.headers['server-timing'], /hash/)
    await refused((version) => login(user, ip, undefined, { version }), 429,
      'over_request_rate_limit', 'Request rate limit reached')
    assert.ok(await server.metric('basalt_limit_refused_total{limit="lockout"}') >= 3)
  })

  test('another network is not meant', async () => {
    const user = await userAt(stranger()), ip = stranger()
    await wrongTimes(5, user, ip)
    assert.equal((await login(user, stranger())).status, 200)
    assert.equal((await login(await userAt(stranger()), ip)).status, 200, 'nor another account')
  })

  test('case makes no other account', async () => {
    const user = await userAt(stranger()), ip = stranger()
    await wrongTimes(5, { ...user, email: user.email.toUpperCase() }, ip)
    assert.equal((await login(user, ip)).status, 429)
  })

  test('the right password takes back what came before it', async () => {
    const user = await userAt(stranger()), ip = stranger()
    for (let round = 0; round < 2; round++) {
      await wrongTimes(4, user, ip)
      assert.equal((await login(user, ip)).status, 200)
    }
  })

  test('guesses sent at once are as many guesses', async () => {
    const user = await userAt(stranger()), ip = stranger()
    await wrongTimes(3, user, ip)
    const answers = await Promise.all(Array.from({ length: 20 }, () => wrong(user, ip)))
    assert.equal(answers.filter((a) => a.status === 400).length, 2)
  })

  test('under /api too', async () => {
    const user = await userAt(stranger()), ip = stranger()
    const tries = () => server.app('POST', '/auth/login', {
      json: { email: user.email, password: 'Wrong-horse-7' }, headers: { 'x-forwarded-for': ip } })
    for (let i = 0; i < 5; i++) assert.equal((await tries()).status, 401)
    const answer = await tries()
    assert.equal(answer.status, 429)
    assert.equal(answer.json.error, 'over_request_rate_limit')
    assert.ok(Number(answer.headers['retry-after']) > 0)
  })
})

describe('many networks at one account', () => {
  test('strangers wait; the owner, from where the account was used before, does not', async () => {
    const home = stranger(), user = await userAt(home)
    await wrongTimes(10, user, stranger)
    assert.equal((await wrong(user, stranger())).status, 429)
    assert.equal((await login(user, stranger())).status, 429, 'also with the right password')
    const owner = await login(user, home)
    assert.equal(owner.status, 200, owner.text)
    assert.equal((await login(user, stranger())).status, 429, 'which frees nobody else')
  })

  test('somebody beside the owner gets the few guesses of one network', async () => {
    const home = stranger(), user = await userAt(home)
    await wrongTimes(10, user, stranger)
    await wrongTimes(5, user, home)
    assert.equal((await wrong(user, home)).status, 429)
  })

  test('a network is known after any way of logging in, logged out or not', async () => {
    const ip = stranger(), user = await userAt(stranger())
    const session = await login(user, ip)
    await server.auth('POST', '/logout', { token: session.json.access_token })
    await wrongTimes(10, user, stranger)
    assert.equal((await login(user, ip)).status, 200)
  })

  test('an account that is not there behaves the same', async () => {
    const ghost = { email: email('ghost'), password }, ip = stranger()
    await wrongTimes(5, ghost, ip)
    assert.equal((await login(ghost, ip)).status, 429)
    await wrongTimes(5, ghost, stranger)
    assert.equal((await login(ghost, stranger())).status, 429)
  })
})

describe('a server that logs people in', () => {
  const through = (user, ip, word, key = server.keys.secret) =>
    server.auth('POST', '/token?grant_type=password', {
      json: { email: user.email, password: word }, key, token: server.keys.service,
      headers: { 'sb-forwarded-for': ip, 'x-forwarded-for': '192.0.2.80' } })

  test('names whom it speaks for, and they are counted one by one', async () => {
    const user = await userAt(stranger()), attacker = stranger(), owner = stranger()
    for (let i = 0; i < 5; i++)
      assert.equal((await through(user, attacker, 'Wrong-horse-7')).status, 400)
    assert.equal((await through(user, attacker, password)).status, 429)
    const answer = await through(user, owner, password)
    assert.equal(answer.status, 200, answer.text)
    const [row] = await server.sql('select host(ip) as ip from auth.sessions where id = $1',
      [answer.headers['sb-auth-session-id']])
    assert.equal(row.ip, owner)
  })

  test('nobody else can', async () => {
    const user = await userAt(stranger())
    for (let i = 0; i < 5; i++)
      assert.equal((await through(user, stranger(), 'Wrong-horse-7', server.keys.anon)).status, 400)
    assert.equal((await through(user, stranger(), 'Wrong-horse-7', server.keys.anon)).status, 429)
  })
})

describe('delays', () => {
  test('grow', async () => {
    const quick = await server.beside({ ...limits, lockout: '5/1s', lockout_account: 'off' })
    const user = await userAt(stranger()), ip = stranger()
    let longest = 0
    for (let failed = 0; failed < 8;) {
      await waitFor('the next attempt', async () => {
        const answer = await wrong(user, ip, { on: quick })
        if (answer.status === 400) return ++failed
        longest = Math.max(longest, Number(answer.headers['retry-after']))
        return false
      })
    }
    assert.ok(longest <= 1, `at first ${longest} s`)
    const next = await wrong(user, ip, { on: quick })
    assert.equal(next.status, 429)
    assert.ok(Number(next.headers['retry-after']) > 200, next.headers['retry-after'])
    await quick.close()
  })

  test('and end at lockout_max', async () => {
    const short = await server.beside({ ...limits, lockout: '2/2h', lockout_max: '90s' })
    const user = await userAt(stranger()), ip = stranger()
    await wrongTimes(2, user, ip, { on: short })
    const next = await wrong(user, ip, { on: short })
    assert.ok(Number(next.headers['retry-after']) <= 90, next.headers['retry-after'])
    await short.close()
  })

  test('off', async () => {
    const off = await server.beside({ ...limits, lockout: 'off', lockout_account: 'off' })
    const user = await userAt(stranger()), ip = stranger()
    await wrongTimes(12, user, ip, { on: off })
    assert.equal((await login(user, ip, password, { on: off })).status, 200)
    await off.close()
    await assert.rejects(server.beside({ ...limits, lockout: '0' }), /lockout must be a number/)
  })
})

test('two nodes with one Redis count together', async () => {
  const redis = await new Redis().start()
  const nodes = [await server.beside({ ...limits, redis_url: redis.url }),
    await server.beside({ ...limits, redis_url: redis.url })]
  for (const on of nodes) {
    await waitFor('a shared limit', async () => {
      await login({ email: email(), password }, stranger(), password, { on })
      return await on.metric('basalt_limit_share_asks_total{result="answered"}') > 0
    })
  }
  const user = await userAt(stranger()), ip = stranger()
  await wrongTimes(3, user, ip, { on: nodes[0] })
  await wrongTimes(2, user, ip, { on: nodes[1] })
  for (const on of nodes) assert.equal((await login(user, ip, password, { on })).status, 429)
  for (const on of nodes) await on.close()
  await redis.stop()
})

test('known networks are as a subscriber\'s, and gone with the user', async () => {
  const user = await userAt('2001:db8:5:6::9')
  const db = await sql.connect(server.urlAs('supabase_admin', 'DB_ADMIN_PASSWORD'))
  const rows = async () => (await db.query(
    'select network::text from basalt.known_network where user_id = $1', [user.id])).rows
  await loggedIn(server, user)
  assert.deepEqual((await rows()).map((r) => r.network).sort(), ['127.0.0.1/32', '2001:db8:5:6::/64'])
  await server.service('DELETE', `/admin/users/${user.id}`)
  assert.deepEqual(await rows(), [])
  await sql.close(db)
})
