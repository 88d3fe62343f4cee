// SPDX-License-Identifier: Apache-2.0
// Limits shared by two nodes through Redis; and a Redis that is away, slow or unwilling, which no
// login may notice.
import { before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { email, password, signedUp, start } from '../lib/basalt.mjs'
import { Redis } from '../lib/redis.mjs'
import { patience, timed, waitFor } from '../lib/wait.mjs'

let first, second, redis, open
let hosts = 0
const stranger = () => `198.51.100.${++hosts}`
const limited = (url, more = {}) => ({
  rate_limits: 'on', trusted_proxies: '127.0.0.1', redis_url: url, rate_limit_token: '4/1h', ...more })
const login = (on, ip, user = { email: email('nobody'), password }) =>
  on.auth('POST', '/token?grant_type=password', {
    json: { email: user.email, password: user.password }, headers: { 'x-forwarded-for': ip } })
const answered = (node) => node.metric('basalt_limit_share_asks_total{result="answered"}')

// Until the node shares: it connects in the background.
async function sharing(node) {
  await waitFor('a shared limit', async () => {
    await login(node, stranger())
    return await answered(node) > 0
  })
}

before(async () => {
  redis = await new Redis().start()
  open = await start()
  first = await open.beside(limited(redis.url))
  second = await open.beside(limited(redis.url))
  await Promise.all([sharing(first), sharing(second)])
})

describe('two nodes and one Redis', () => {
  test('what one has counted is true on the other at once', async () => {
    const ip = stranger()
    for (let i = 0; i < 4; i++)
      assert.equal((await login(i % 2 ? first : second, ip)).status, 400, `login ${i}`)
    const { value, ms } = await timed(() => login(first, ip))
    assert.equal(value.status, 429)
    assert.equal((await login(second, ip)).status, 429)
    assert.ok(Number(value.headers['retry-after']) > 800)
    assert.ok(ms < 300 * patience, `${ms} ms`)
    assert.equal((await login(second, stranger())).status, 400)
  })

  test('Redis holds digests that die by themselves, no names', async () => {
    const user = await signedUp(open)
    await login(first, stranger(), user)
    const keys = await redis.say('KEYS *')
    assert.match(keys, /basalt:limit:\d+:[0-9a-f]{24}/)
    assert.doesNotMatch(keys, /example|198\.51/)
    const key = /basalt:limit:\d+:[0-9a-f]{24}/.exec(keys)[0]
    const ttl = Number(/:(-?\d+)/.exec(await redis.say(`PTTL ${key}`))[1])
    assert.ok(ttl > 0 && ttl <= 3_600_000, String(ttl))
  })

  test('another project on the same Redis counts for itself', async () => {
    const stranger1 = stranger()
    const other = await start({ settings: limited(redis.url) })
    await sharing(other)
    for (let i = 0; i < 4; i++) await login(first, stranger1)
    assert.equal((await login(first, stranger1)).status, 429)
    assert.equal((await login(other, stranger1)).status, 400)
    await other.close()
  })
})

describe('a Redis that is not well', () => {
  test('stopped in its tracks, it slows no login and its node counts alone', async () => {
    const own = await new Redis().start()
    const node = await open.beside(limited(own.url))
    await sharing(node)
    const user = await signedUp(open)
    own.signal('SIGSTOP')
    const ip = stranger()
    for (let i = 0; i < 4; i++) {
      const answer = await login(node, ip, user)
      assert.equal(answer.status, 200, answer.text)
    }
    assert.equal((await login(node, ip, user)).status, 429, 'still limited')
    assert.ok(await node.metric('basalt_limit_share_asks_total{result="unanswered"}') >= 1)
    await waitFor('the loss to be told', () => node.events('limits.redis_away').length === 1)
    own.signal('SIGCONT')
    await waitFor('it to be back', () => node.events('limits.redis_back').length === 1)
    const before = await answered(node)
    await waitFor('shared limits', async () => {
      await login(node, stranger())
      return await answered(node) > before
    })
    await node.close()
    await own.stop()
  })

  test('killed and started anew', async () => {
    const own = await new Redis().start()
    const node = await open.beside(limited(own.url))
    await sharing(node)
    await own.stop()
    const user = await signedUp(open)
    for (let i = 0; i < 3; i++) assert.equal((await login(node, stranger(), user)).status, 200)
    const again = new Redis()
    again.socket = own.socket
    await again.start()
    await waitFor('it to be back', () => node.events('limits.redis_back').length === 1)
    const before = await answered(node)
    await waitFor('shared limits', async () => {
      await login(node, stranger())
      return await answered(node) > before
    })
    await node.close()
    await again.stop()
  })

  test('never there', async () => {
    const node = await open.beside(limited('unix:///nowhere/redis.sock'))
    const ip = stranger()
    for (let i = 0; i < 4; i++) assert.equal((await login(node, ip)).status, 400)
    assert.equal((await login(node, ip)).status, 429)
    assert.equal(node.events('limits.redis_away').length, 1)
    await node.close()
  })

  test('scripts lost and keys of another type', async () => {
    const own = await new Redis().start()
    const node = await open.beside(limited(own.url))
    await sharing(node)
    await own.say('SCRIPT FLUSH')
    for (let i = 0; i < 3; i++) assert.equal((await login(node, stranger())).status, 400)
    const before = await answered(node)
    await waitFor('the script to be back', async () => {
      assert.equal((await login(node, stranger())).status, 400)
      return await answered(node) > before
    })
    await node.close()
    await own.stop()
  })
})

describe('redis_url', () => {
  test('with a password and a database, over TCP', async () => {
    const own = new Redis({ password: 'of-this-test' })
    const port = 20000 + process.pid % 20000
    await own.start({ port })
    const node = await open.beside(limited(`redis://:of-this-test@127.0.0.1:${port}/3`))
    await sharing(node)
    const wrong = await open.beside(limited(`redis://:wrong@127.0.0.1:${port}/3`))
    assert.equal((await login(wrong, stranger())).status, 400)
    const doctor = async (key) => (await node.command(['doctor'], {
      settings: { database_url: open.db, redis_url: `redis://:${key}@127.0.0.1:${port}/3` } })).stdout
    assert.match(await doctor('of-this-test'), /ok +limits are shared through Redis/)
    assert.match(await doctor('wrong'), /warn +each node counts limits alone/)
    await waitFor('the refusal to be told', () => wrong.events('limits.redis_away').length === 1)
    assert.doesNotMatch(node.log() + wrong.log(), /of-this-test|wrong@/)
    await node.close()
    await wrong.close()
    await own.stop()
  })

  test('one that cannot be used stops the start', async () => {
    for (const url of ['rediss://127.0.0.1', 'http://127.0.0.1', 'redis://', 'redis://h/x', 'unix://relative'])
      await assert.rejects(open.beside(limited(url)), /redis_url/, url)
  })
})
