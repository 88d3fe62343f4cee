// SPDX-License-Identifier: Apache-2.0
// SIGKILLs under load. Workers sign up, refresh and log out without a pause and write down what was
// acknowledged to them; server, PostgreSQL or both are killed with at least eight writes in flight;
// then the database is held against the record.
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { email, password } from './basalt.mjs'
import * as sql from './sql.mjs'
import { patience, waitFor, within } from './wait.mjs'

const IN_FLIGHT_MIN = 8
const READY_MS = 2000
const SESSIONS_MAX = 40 // waiting to be used; more are logged out
const UNKNOWN = [429, 503, 504] // what a request may be told instead, when its outcome is open

// argon2id of nothing: an import is a signup without the work of hashing, so that many are in flight
const IMPORTED = '$argon2id$v=19$m=19456,t=2,p=1$YmVuY2htYXJrYmVuY2htYQ' +
  '$n1m2bWJlbmNobWFya2JlbmNobWFya2JlbmNobWFya2I'

export class KillRun {
  constructor(server) {
    this.server = server
    this.users = [] // ids, acknowledged since the last check
    this.openSignups = [] // addresses whose outcome is not known
    this.sessions = [] // { id, token, access, over } that nobody uses at the moment
    this.cut = [] // sessions whose last refresh was not answered
    this.refreshes = [] // { session, token, before }, acknowledged since the last check
    this.ended = [] // sessions whose logout was acknowledged since the last check
    this.checked = { users: [], ended: [] } // of earlier rounds: looked at again at the end
    this.inFlight = 0
    this.stopped = true
    this.readyMs = []
    this.counts = { signups: 0, refreshes: 0, repeats: 0, logouts: 0, unknown: 0 }
  }

  // ---- writing ---------------------------------------------------------------------------------

  // The answer when it was `expected`; undefined when the outcome is open. Anything else is a defect.
  async write(send, expected = 200) {
    this.inFlight++
    let answer
    try {
      answer = await send()
    } catch {
      // the connection broke: the server is gone
    } finally {
      this.inFlight--
    }
    if (answer?.status === expected) return answer
    this.counts.unknown++
    if (answer) {
      assert.ok(UNKNOWN.includes(answer.status), `${answer.status} ${answer.text}`)
      await sleep(20)
    }
    return undefined
  }

  acknowledge(user) {
    this.users.push(user.id)
    this.counts.signups++
  }

  async signUp() {
    const address = email('kill')
    const answer = await this.write(() => this.server.auth('POST', '/signup', {
      json: { email: address, password, data: { name: 'Kill' } },
    }))
    if (!answer) {
      this.openSignups.push(address)
      return
    }
    this.acknowledge(answer.json.user)
    const { session_id: id } = claimsOf(answer.json.access_token)
    this.sessions.push({
      id, token: answer.json.refresh_token, access: answer.json.access_token, over: false,
    })
  }

  async importUser() {
    const address = email('import')
    const answer = await this.write(() => this.server.service('POST', '/admin/users', {
      json: { email: address, password_hash: IMPORTED, email_confirm: true },
    }))
    if (answer) this.acknowledge(answer.json)
  }

  refresh(session) {
    return this.write(() => this.server.auth('POST', '/token?grant_type=refresh_token', {
      json: { refresh_token: session.token },
    }))
  }

  take(session, answer) {
    const token = answer.json.refresh_token
    this.refreshes.push({ session, token, before: session.token })
    session.token = token
    session.access = answer.json.access_token
    this.counts.refreshes++
  }

  // A client that hangs up before it has read its answer, and asks again.
  async refreshCutOff(session) {
    const stop = new AbortController()
    const lost = this.server.auth('POST', '/token?grant_type=refresh_token', {
      json: { refresh_token: session.token }, signal: stop.signal,
    }).catch(() => {})
    setTimeout(() => stop.abort(), Math.random() * 10)
    await lost
    this.counts.repeats++
  }

  // Two tabs at once get the same new token.
  async refreshTwice(session) {
    const both = await Promise.all([this.refresh(session), this.refresh(session)])
    const [one, other] = both.filter(Boolean)
    if (one && other) assert.equal(one.json.refresh_token, other.json.refresh_token)
    return one
  }

  async refreshOnce() {
    const session = this.sessions.shift()
    if (!session) return sleep(5)
    const way = Math.random()
    if (way < 0.1) await this.refreshCutOff(session)
    const answer = way > 0.9 ? await this.refreshTwice(session) : await this.refresh(session)
    if (!answer) {
      this.cut.push(session)
      return undefined
    }
    this.take(session, answer)
    this.sessions.push(session)
    return undefined
  }

  async logOut() {
    if (this.sessions.length <= SESSIONS_MAX / 2) return sleep(5)
    const session = this.sessions.shift()
    session.over = true // or not, should the answer be missing: it is not used any more
    const answer = await this.write(() => this.server.auth('POST', '/logout?scope=local', {
      token: session.access,
    }), 204)
    if (!answer) return undefined
    this.ended.push(session)
    this.counts.logouts++
    return undefined
  }

  start() {
    this.stopped = false
    const loop = async (work) => {
      while (!this.stopped) await work.call(this)
    }
    const kinds = [
      [this.signUp, 4], [this.importUser, 5], [this.refreshOnce, 6], [this.logOut, 1],
    ]
    this.workers = Promise.all(kinds.flatMap(([work, count]) =>
      Array.from({ length: count }, () => loop(work))))
    this.workers.catch(() => {}) // told by halt()
  }

  halt() {
    this.stopped = true
    return within(30_000, 'the answers in flight', this.workers)
  }

  // ---- killing ---------------------------------------------------------------------------------

  async kill(what) {
    const { server } = this
    const postmaster = server.postmasterPid()
    await waitFor('writes in flight', () => this.inFlight >= IN_FLIGHT_MIN)
    const inFlight = this.inFlight
    this.stopped = true
    if (what !== 'server') process.kill(postmaster, 'SIGKILL')
    if (what !== 'postgres') server.kill('SIGKILL')
    const from = performance.now()
    if (what === 'postgres') {
      await this.halt()
      await this.served(postmaster)
      this.readyMs.push(performance.now() - from)
    } else {
      await server.die()
      await this.halt()
      await server.launch()
      this.readyMs.push(server.readyMs)
    }
    const took = this.readyMs.at(-1)
    assert.ok(took <= READY_MS * patience, `ready ${took.toFixed(0)} ms after killing ${what}`)
    return inFlight
  }

  // Until another postmaster runs and a write is acknowledged.
  served(postmaster) {
    return waitFor('PostgreSQL to be back', async () => {
      if (this.server.postmasterPid() === postmaster) return false
      const before = this.users.length
      await this.importUser()
      return this.users.length > before
    }, 15_000)
  }

  // A backend that computes does not notice that its postmaster is gone.
  async busyBackend() {
    const client = await sql.connect(this.server.db)
    client.query('do $$ begin for i in 1..2000000000 loop null; end loop; end $$').catch(() => {})
    await waitFor('a busy backend', async () => (await this.server.sql(
      `select 1 from pg_stat_activity where query like 'do %' and state = 'active'`)).length === 1)
    await this.server.forgetSql()
    return client
  }

  async round(what, { busy = false } = {}) {
    const backend = busy ? await this.busyBackend() : undefined
    this.start()
    await sleep(100 + Math.random() * 400)
    await this.server.forgetSql()
    const inFlight = await this.kill(what)
    if (backend) await sql.close(backend)
    await this.verify()
    return inFlight
  }

  // ---- checking --------------------------------------------------------------------------------

  async verify() {
    await this.verifyUsers(this.users)
    await this.verifyRefreshes()
    await this.repeatRefreshes()
    await this.verifyLogouts(this.ended)
    await this.repeatSignups()
    this.checked.users.push(...this.users.splice(0))
    this.checked.ended.push(...this.ended.splice(0))
    this.refreshes = []
  }

  // What was acknowledged in any round is still so after all the kills that followed.
  async verifyAll() {
    await this.verifyUsers(this.checked.users)
    await this.verifyLogouts(this.checked.ended)
    this.cut.push(...this.sessions.splice(0))
    await this.repeatRefreshes()
  }

  async none(what, text, values) {
    const rows = await this.server.sql(text, values)
    assert.deepEqual(rows.slice(0, 3), [], `${rows.length} ${what}`)
  }

  async verifyUsers(ids) {
    await this.none('users were acknowledged and lost', `
      select n.id from unnest($1::uuid[]) n (id)
      where not exists (select from auth.users u where u.id = n.id)`, [ids])
    await this.none('users have no identity or no profile', `
      select u.id, u.email from auth.users u
      where not exists (select from auth.identities i where i.user_id = u.id)
         or not exists (select from public.profiles p where p.id = u.id)`)
    await this.none('profiles have no user', `
      select p.id from public.profiles p
      where not exists (select from auth.users u where u.id = p.id)`)
  }

  async verifyRefreshes() {
    const living = this.refreshes.filter(({ session }) => !session.over)
    await this.none('refreshes were acknowledged and lost', `
      select n.token from unnest($1::text[], $2::text[]) n (token, before)
      where not exists (select from auth.refresh_tokens t
                        where t.token = n.token and t.parent = n.before)
         or exists (select from auth.refresh_tokens t where t.token = n.before and not t.revoked)`,
    [living.map(({ token }) => token), living.map(({ before }) => before)])
    // One client uses one token at a time, so auth.md §2.3 never makes a second one living.
    await this.none('sessions have more than one living token', `
      select session_id, count(*) from auth.refresh_tokens where not revoked
      group by session_id having count(*) > 1`)
  }

  // Whoever did not read the answer asks again with the same token, and gets on.
  async repeatRefreshes() {
    for (const session of this.cut.splice(0)) {
      const answer = await this.server.auth('POST', '/token?grant_type=refresh_token', {
        json: { refresh_token: session.token },
      })
      assert.equal(answer.status, 200, `a refresh could not be repeated: ${answer.text}`)
      session.token = answer.json.refresh_token
      session.access = answer.json.access_token
      this.sessions.push(session)
      this.counts.repeats++
    }
  }

  async verifyLogouts(ended) {
    await this.none('sessions were ended and live', `
      select id from auth.sessions where id = any($1::uuid[])`, [ended.map(({ id }) => id)])
    const last = ended.at(-1)
    if (!last) return
    const user = await this.server.auth('GET', '/user', { token: last.access })
    assert.equal(user.json.code, 'session_not_found', user.text)
    const refresh = await this.server.auth('POST', '/token?grant_type=refresh_token', {
      json: { refresh_token: last.token },
    })
    assert.equal(refresh.json.code, 'refresh_token_not_found', refresh.text)
  }

  // A signup whose answer is missing has happened whole or not at all: its repeat says which.
  async repeatSignups() {
    for (const address of this.openSignups.splice(0)) {
      const json = { email: address, password }
      const again = await this.server.auth('POST', '/signup', { json })
      assert.ok([200, 422].includes(again.status), again.text)
      if (again.status === 200) continue
      const login = await this.server.auth('POST', '/token?grant_type=password', { json })
      assert.equal(login.status, 200, `half a user: ${login.text}`)
    }
  }
}

function claimsOf(token) {
  return JSON.parse(Buffer.from(token.split('.')[1], 'base64url'))
}

// The whole run on a server of its own; busyEvery: in each so-many-th round that kills PostgreSQL
// one of its backends is busy. Returns the counts and the times to readiness.
export async function killRun(server, kills, { busyEvery = 5, say = () => {} } = {}) {
  const run = new KillRun(server)
  const kinds = ['server', 'postgres', 'both']
  const inFlight = []
  for (let i = 0; i < kills; i++) {
    const what = kinds[i % kinds.length]
    const busy = what !== 'server' && Math.floor(i / kinds.length) % busyEvery === busyEvery - 1
    inFlight.push(await run.round(what, { busy }))
    if ((i + 1) % 30 === 0) say(`${i + 1} kills`)
  }
  await run.verifyAll()
  const ready = run.readyMs.toSorted((a, b) => a - b)
  return {
    kills, ...run.counts, inFlightLeast: Math.min(...inFlight),
    readyMedianMs: Math.round(ready[Math.floor(ready.length / 2)]),
    readyWorstMs: Math.round(ready.at(-1)),
  }
}
