// SPDX-License-Identifier: Apache-2.0
// SIGKILLs of a server that audits at least 500 events a second. Before each the synced sequence is
// read; afterwards every event up to it is there, in order, and every gap is in the drop counter.
import assert from 'node:assert/strict'
import http from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { command } from './basalt.mjs'
import { events, node } from './journal.mjs'
import { patience, sanitized, waitFor } from './wait.mjs'

const WORKERS = 8
const EVENTS_PER_S = sanitized ? 50 : 500
const PACE_MS = 4 // of a worker's requests: 2000 events a second at most
const SYNC_MS = 500 * patience // the promise is 50 ms; tests run where other work keeps the disk busy

// Refused requests until the server is gone; `seen` gets the ids of those that were answered, with the time.
async function refuse(server, agent, seen) {
  for (;;) {
    const id = await new Promise((resolve) => {
      const request = http.get(`${server.api}/auth/v1/user`, { agent }, (response) => {
        response.resume()
        response.on('end', () => resolve(response.headers['x-request-id']))
        response.on('error', () => resolve(undefined))
      })
      request.on('error', () => resolve(undefined))
    })
    if (!id) return
    seen.push({ id, at: performance.now() })
    await sleep(PACE_MS)
  }
}

async function round(server, result) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: WORKERS })
  const seen = []
  const from = performance.now()
  const workers = Array.from({ length: WORKERS }, () => refuse(server, agent, seen))
  await sleep(700 + Math.random() * 500)
  const asked = performance.now()
  const metrics = (await server.ops('/metrics')).text
  const value = (name) => Number(new RegExp(`^${name} (.*)$`, 'm').exec(metrics)[1])
  const synced = value('basalt_audit_synced_sequence')
  const dropped = value('basalt_audit_dropped_total')
  const rate = seen.length / ((performance.now() - from) / 1000)
  await server.die()
  await Promise.all(workers)
  agent.destroy()
  result.rates.push(rate)
  result.marks.push({ synced, dropped })
  for (const { id, at } of seen) if (at < asked - SYNC_MS) result.acknowledged.push(id)
}

export async function auditKills(server, kills) {
  const result = { rates: [], marks: [], acknowledged: [] }
  for (let i = 0; i < kills; i++) {
    await round(server, result)
    await server.launch()
  }
  const all = events(server) // which also holds the chain against its hashes
  const ids = new Set(all.map((event) => event.request_id))
  for (const id of result.acknowledged) assert.ok(ids.has(id), `the event of request ${id} is lost`)

  for (const [i, event] of all.entries())
    if (i > 0) assert.ok(event.sequence > all[i - 1].sequence, 'the order of the journal')
  const numbers = new Set(all.map((event) => event.sequence))
  for (const { synced, dropped } of result.marks) {
    let gaps = 0
    for (let n = 1; n <= synced; n++) gaps += !numbers.has(n)
    assert.ok(gaps <= dropped, `${gaps} gaps up to ${synced}, ${dropped} counted`)
  }
  const rate = result.rates.toSorted((a, b) => a - b)[Math.floor(kills / 2)]
  assert.ok(rate >= EVENTS_PER_S, `${rate} events a second`)

  const last = all.at(-1).sequence
  await waitFor('everything in the database', async () =>
    (await server.metric('basalt_audit_shipped_sequence')) >= last, 120_000)
  const rows = await server.sql(`select id, sequence::int from basalt.audit_event
    where node = $1 and sequence <= $2 order by seq`, [node(server), last])
  assert.deepEqual(rows, all.filter((e) => e.sequence <= last).map(({ id, sequence }) => ({ id, sequence })))
  const verified = await command(['audit', 'verify'], { data: server.data, ms: 300_000 })
  assert.equal(verified.code, 0, verified.stderr)
  return { kills, events: all.length, acknowledged: result.acknowledged.length, events_per_s: Math.round(rate),
    dropped: result.marks.at(-1).dropped }
}
