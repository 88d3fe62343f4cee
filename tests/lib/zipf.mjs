// SPDX-License-Identifier: Apache-2.0
// What caches are for: many people, a few of whom ask most (Zipf's law, exponent 1), asking several
// nodes at random while administrators change some of them. Counts how much came from memory, and
// how old the oldest answer was. Used by a test and, ten times as large, by `./dev bench cache`.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { sign } from './jwt.mjs'
import { mapAtOnce } from './wait.mjs'

const AT_ONCE = 16

// n users with a session and a token each, made by SQL.
export async function people(server, n) {
  const rows = Array.from({ length: n }, () => ({ id: randomUUID(), session: randomUUID() }))
  const ids = rows.map((r) => r.id), sessions = rows.map((r) => r.session)
  await server.sql(`insert into auth.users (instance_id, id, aud, role, email, email_confirmed_at,
      raw_app_meta_data, raw_user_meta_data, created_at, updated_at)
    select '00000000-0000-0000-0000-000000000000', id, 'authenticated', 'v0', id || '@example.com',
      now(), '{}', '{}', now(), now() from unnest($1::uuid[]) id`, [ids])
  await server.sql(`insert into auth.sessions (id, user_id, created_at, updated_at, aal)
    select s, u, now(), now(), 'aal1' from unnest($1::uuid[], $2::uuid[]) as t (s, u)`, [sessions, ids])
  const exp = Math.floor(Date.now() / 1000) + 3600
  return rows.map(({ id, session }) => ({
    id,
    token: sign({ sub: id, role: 'authenticated', aud: 'authenticated', session_id: session, exp },
      server.jwtSecret),
    acknowledged: [], // when version i + 1 of the role was, performance.now()
    changing: false,
  }))
}

// Draws 0 … n - 1, the first most often.
export function zipf(n, random = Math.random) {
  const sums = new Float64Array(n)
  for (let i = 0, sum = 0; i < n; i++) sums[i] = sum += 1 / (i + 1)
  return () => {
    const x = random() * sums[n - 1]
    let low = 0
    for (let high = n - 1; low < high;) {
      const middle = (low + high) >> 1
      if (sums[middle] < x) low = middle + 1
      else high = middle
    }
    return low
  }
}

// Milliseconds by which an answer was out of date when its question was sent; 0 when it was not.
async function read(node, person) {
  const known = person.acknowledged.length, at = performance.now()
  const answer = await node.auth('GET', '/user', { token: person.token })
  assert.equal(answer.status, 200, answer.text)
  const version = Number(answer.json.role.slice(1))
  return version >= known ? 0 : at - person.acknowledged[version]
}

async function change(node, person) {
  if (person.changing) return
  person.changing = true
  const role = `v${person.acknowledged.length + 1}`
  const answer = await node.service('PUT', `/admin/users/${person.id}`, { json: { role } })
  assert.equal(answer.status, 200, answer.text)
  person.acknowledged.push(performance.now())
  person.changing = false
}

const sum = async (nodes, name) =>
  (await Promise.all(nodes.map((node) => node.metric(name)))).reduce((a, b) => a + b)

// Everybody on every node, until all their loops, which remember each for themselves, know nearly all.
// In turns: a cache that nobody asks for a second is given back.
export async function warmUp(nodes, crowd) {
  const rounds = crowd.flatMap((person) => nodes.map((node) => [node, person]))
  for (let missed = 1, pass = 0; missed > 0.005 && pass < 12; pass++) {
    const before = await sum(nodes, 'basalt_user_cache_misses_total')
    await mapAtOnce(rounds, AT_ONCE, ([node, person]) => read(node, person))
    missed = (await sum(nodes, 'basalt_user_cache_misses_total') - before) / rounds.length
  }
}

// `requests` at random, one in a hundred of which changes a role. What was found out.
export async function traffic(nodes, crowd, requests) {
  const next = zipf(crowd.length)
  const hits = await sum(nodes, 'basalt_user_cache_hits_total')
  const misses = await sum(nodes, 'basalt_user_cache_misses_total')
  let changes = 0, oldestMs = 0, outdated = 0
  await mapAtOnce(Array.from({ length: requests }), AT_ONCE, async () => {
    const node = nodes[Math.floor(Math.random() * nodes.length)]
    const person = crowd[next()]
    if (Math.random() < 0.01) {
      changes++
      return change(node, person)
    }
    const ms = await read(node, person)
    if (ms > 0) outdated++
    oldestMs = Math.max(oldestMs, ms)
  })
  const hit = await sum(nodes, 'basalt_user_cache_hits_total') - hits
  const missed = await sum(nodes, 'basalt_user_cache_misses_total') - misses
  return { requests, changes, outdated, oldestMs, hitRatio: hit / (hit + missed) }
}
