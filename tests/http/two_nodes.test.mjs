// SPDX-License-Identifier: Apache-2.0
// Two server processes on one PostgreSQL: what one was told is true on the other within 100 ms.
import { before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { email, loggedIn, password, signedUp, start } from '../lib/basalt.mjs'
import { Redis } from '../lib/redis.mjs'
import { patience, waitFor } from '../lib/wait.mjs'
import { people, traffic, warmUp } from '../lib/zipf.mjs'

// The promise is 100 ms on a machine that does nothing else.
const WITHIN_MS = 300 * patience

let first, second, redis
const me = (node, token) => node.auth('GET', '/user', { token })

before(async () => {
  redis = await new Redis().start()
  const limits = { rate_limits: 'on', rate_limit_token: '1000000', rate_limit_otp: '1000000',
    redis_url: redis.url }
  first = await start({ settings: limits })
  second = await first.beside(limits)
})

// A user whom both nodes have in memory.
async function remembered() {
  const user = await loggedIn(first, await signedUp(first))
  for (const node of [first, second, first, second])
    assert.equal((await me(node, user.token)).status, 200)
  return user
}

// Does it on the first node; how long until the second refuses, from the first's answer on.
async function soon(act, refusal) {
  const done = await act()
  assert.ok(done.status < 300, done.text)
  const from = performance.now()
  await waitFor('the other node to know', refusal, WITHIN_MS, 1)
  const ms = performance.now() - from
  assert.ok(ms < WITHIN_MS, `${ms} ms`)
}

const codeIs = (code, send) => async () => {
  const answer = await send()
  return answer.status >= 400 && answer.headers['x-sb-error-code'] === code
}

describe('what one node was told', () => {
  test('a logout', async () => {
    const user = await remembered()
    await soon(() => first.auth('POST', '/logout?scope=local', { token: user.token }),
      codeIs('session_not_found', () => me(second, user.token)))
  })

  test('a ban: the access token stops', async () => {
    const user = await remembered()
    await soon(() => first.service('PUT', `/admin/users/${user.id}`, { json: { ban_duration: '24h' } }),
      codeIs('user_banned', () => me(second, user.token)))
    assert.equal((await me(first, user.token)).status, 403, 'here at once')
    await soon(() => first.service('PUT', `/admin/users/${user.id}`, { json: { ban_duration: 'none' } }),
      async () => (await me(second, user.token)).status === 200)
  })

  test('a ban by plain SQL, on both', async () => {
    const user = await remembered()
    await first.sql("update auth.users set banned_until = now() + interval '1 day' where id = $1", [user.id])
    for (const node of [first, second])
      await soon(() => ({ status: 200 }), codeIs('user_banned', () => me(node, user.token)))
  })

  test('a role, and a deletion', async () => {
    const user = await remembered()
    await soon(() => first.service('PUT', `/admin/users/${user.id}`, { json: { role: 'editor' } }),
      async () => (await me(second, user.token)).json.role === 'editor')
    await soon(() => first.service('DELETE', `/admin/users/${user.id}`),
      codeIs('user_not_found', () => me(second, user.token)))
  })

  test('a password that was changed ends sessions', async () => {
    const user = await remembered()
    await soon(() => first.service('PUT', `/admin/users/${user.id}`, { json: { password: 'Another-horse-8' } }),
      codeIs('session_not_found', () => me(second, user.token)))
  })

  test('wrong passwords, with Redis', async () => {
    for (const node of [first, second]) {
      await waitFor('shared limits', async () => {
        await node.auth('POST', '/token?grant_type=password', { json: { email: email(), password } })
        return await node.metric('basalt_limit_share_asks_total{result="answered"}') > 0
      })
    }
    const user = { email: email('ghost'), password }
    const guess = (node) => node.auth('POST', '/token?grant_type=password', { json: user })
    for (let i = 0; i < 5; i++) assert.equal((await guess(first)).status, 400)
    assert.equal((await guess(second)).status, 429, 'at once')
  })
})

// A tenth of `./dev bench cache`.
test('caches: most answers come from memory, none is out of date', async () => {
  const crowd = await people(first, 1000)
  await warmUp([first, second], crowd)
  const found = await traffic([first, second], crowd, 10_000)
  assert.ok(found.changes > 50, JSON.stringify(found))
  assert.ok(found.hitRatio >= 0.95, JSON.stringify(found))
  assert.ok(found.oldestMs < WITHIN_MS, JSON.stringify(found))
})
