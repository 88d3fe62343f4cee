// SPDX-License-Identifier: Apache-2.0
// A Basalt of the test's own: the real program on a scratch folder with its private PostgreSQL, on
// ports that the system chose. Whatever was started is stopped at the test file's end, and by the
// process's exit should it come to that: servers by their pid, clusters by `basalt stop`.
import { after } from 'node:test'
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import http from 'node:http'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { call } from './http.mjs'
import * as sql from './sql.mjs'
import { patience, waitFor, within } from './wait.mjs'

export const binary = path.resolve(process.env.DEV_BINARY
  ?? fileURLToPath(new URL('../../build/basalt', import.meta.url)))

const READY_MS = 30_000
const STOP_MS = 60_000

// A server takes an unknown BASALT_ name for an error and DATABASE_URL for an order, so it sees only
// what it needs, and what the sanitizers of an instrumented build need.
const inherited = ['PATH', 'HOME', 'USER', 'LC_ALL', 'TZ', 'ASAN_OPTIONS', 'LSAN_OPTIONS',
  'UBSAN_OPTIONS', 'TSAN_OPTIONS']

function environment(settings = {}, env = {}) {
  const out = {}
  for (const name of inherited) if (process.env[name] !== undefined) out[name] = process.env[name]
  for (const [name, value] of Object.entries(settings))
    out[`BASALT_${name.toUpperCase()}`] = String(value)
  return { ...out, ...env }
}

const folders = new Set()
const running = new Set()

// A folder for a server and its working folder; readable, since a server started as root becomes
// another user and has to reach what is inside.
export function scratch() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'basalt-test-'))
  fs.chmodSync(folder, 0o755)
  folders.add(folder)
  return folder
}

function removeFolders() {
  for (const folder of folders) fs.rmSync(folder, { recursive: true, force: true })
  folders.clear()
}

// `basalt …` to its end: { code, stdout, stderr }.
export function command(args, { data, settings, env, input = '', cwd, ms = 60_000 } = {}) {
  const all = data ? [...args, '--data', data] : args
  const child = spawn(binary, all, { cwd: cwd ?? os.tmpdir(), env: environment(settings, env) })
  const out = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'])
    child[name].setEncoding('utf8').on('data', (text) => (out[name] += text))
  child.stdin.on('error', () => {}) // it may end without having read
  child.stdin.end(input)
  const done = new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, ...out }))
  })
  return within(ms, `basalt ${args.join(' ')}`, done).catch((error) => {
    child.kill('SIGKILL')
    throw error
  })
}

// Whether a process lives; one that ended and that nobody has waited for does not.
export function processLives(pid) {
  try {
    return !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

export class Server {
  #child
  #logFile
  #agent
  #db

  constructor({ settings = {}, env = {}, args = [], data, databaseUrl, home } = {}) {
    this.home = home ?? scratch()
    this.data = data ?? path.join(this.home, 'data')
    this.settings = databaseUrl ? { database_url: databaseUrl, ...settings } : settings
    this.env = env
    this.args = args
    this.ownsCluster = !databaseUrl
    this.#logFile = path.join(this.home, `log-${path.basename(this.data)}`)
  }

  // Starts and waits for the ready line.
  async launch({ ms = READY_MS } = {}) {
    const { child, ready } = this.spawn()
    await within(ms, 'the ready line', ready)
    this.pid = child.pid
    await this.readStatus()
    return this
  }

  // Starts without waiting. ready resolves with the ready line; rejects when the process ends before.
  spawn() {
    const from = performance.now()
    const log = fs.openSync(this.#logFile, 'a')
    const args = ['serve', '--data', this.data, ...this.args]
    const settings = {
      listen: '127.0.0.1:0', admin_listen: '127.0.0.1:0',
      rate_limits: 'off', // a test of limits asks for them
      ...this.settings,
    }
    const child = spawn(binary, args, {
      cwd: this.home, env: environment(settings, this.env), stdio: ['ignore', 'pipe', log],
    })
    fs.closeSync(log)
    this.#child = child
    this.pid = child.pid
    this.#agent = new http.Agent({ keepAlive: true })
    running.add(this)
    this.exited = new Promise((resolve, reject) => {
      child.on('exit', (code, signal) => resolve({ code, signal }))
      child.on('error', reject)
    })
    this.exited.catch(() => running.delete(this)) // it never began
    this.stdout = ''
    const ready = new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('exit', (code, signal) => reject(new Error(
        `the server ended before it was ready (${signal ?? code}):\n${this.log().slice(-4000)}`)))
      child.stdout.setEncoding('utf8').on('data', (text) => {
        this.stdout += text
        const line = /^ready .*$/m.exec(this.stdout)
        if (!line) return
        this.readyMs = performance.now() - from
        resolve(line[0])
      })
    })
    ready.catch(() => {}) // for those who only look at `exited`
    return { child, ready }
  }

  async readStatus() {
    const status = await this.command(['status', '-o', 'json'])
    assert.equal(status.code, 0, status.stderr)
    this.status = JSON.parse(status.stdout)
    this.api = this.status.API_URL
    this.admin = this.status.ADMIN_URL
    this.db = this.status.DB_URL
    this.keys = {
      anon: this.status.ANON_KEY, service: this.status.SERVICE_ROLE_KEY,
      publishable: this.status.PUBLISHABLE_KEY, secret: this.status.SECRET_KEY,
    }
    this.jwtSecret = this.status.JWT_SECRET
  }

  // `basalt …` on this server's data folder.
  command(args, options = {}) {
    const settings = this.ownsCluster ? {} : { database_url: this.settings.database_url }
    return command(args, { data: this.data, cwd: this.home, settings, ...options })
  }

  kill(signal = 'SIGKILL') {
    process.kill(this.pid, signal)
  }

  get alive() {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  // Another server on this one's database, with settings of its own and its own data folder: as
  // another node would be, and started in a moment.
  beside(settings = {}, more = {}) {
    return start({ ...more, databaseUrl: this.db, settings })
  }

  // SIGTERM and its end: { code, signal }.
  async stop() {
    this.#agent?.destroy()
    await this.forgetSql()
    if (this.alive) this.kill('SIGTERM')
    const end = await within(STOP_MS, 'stopping', this.exited)
    if (end.code === 0) running.delete(this)
    return end
  }

  async restart(more) {
    await this.stop()
    return this.launch(more)
  }

  // SIGKILL and the end of this process; its PostgreSQL stays.
  async die() {
    this.#agent?.destroy()
    await this.forgetSql()
    this.kill('SIGKILL')
    return within(STOP_MS, 'the kill', this.exited)
  }

  // The end of the test file: everything down. A server that ran until now has to end well.
  async close() {
    const ran = this.alive
    const end = await this.stop()
    running.delete(this)
    if (this.ownsCluster && end.code !== 0) await this.command(['stop'])
    if (ran) {
      assert.deepEqual(end, { code: 0, signal: null },
        `the server ended badly:\n${this.log().slice(-4000)}`)
    }
  }

  // Nothing can be awaited any more.
  abandon() {
    try {
      this.kill('SIGKILL')
    } catch {
      // it has ended
    }
    if (this.ownsCluster)
      spawnSync(binary, ['stop', '--data', this.data], { env: environment(), timeout: 30_000 })
  }

  // ---- what it wrote ----

  log() {
    return fs.readFileSync(this.#logFile, 'utf8')
  }

  // Log lines as objects, of one event when it is named.
  events(name) {
    const lines = this.log().split('\n').filter((line) => line.startsWith('{')).map((line) => {
      try {
        return JSON.parse(line)
      } catch {
        return {} // the last line may still be on its way
      }
    })
    return name ? lines.filter((line) => line.event === name) : lines
  }

  // The log line of a request, known by its id.
  logged(requestId) {
    return waitFor(`the log line of request ${requestId}`, () => this.events().find((line) =>
      line.request_id === requestId && (line.event === 'request' || line.event === 'slow_request')))
  }

  // ---- asking it ----

  call(target, options = {}) {
    return call(this.api + target, { agent: this.#agent, ...options })
  }

  // A route of the admin listener.
  ops(target, options = {}) {
    return call(this.admin + target, { agent: this.#agent, ...options })
  }

  // A route under /auth/v1 as official clients call it: API key, bearer token or the key again, and
  // the version of errors they expect.
  auth(method, target, { json, body, token, key = this.keys.anon, version = '2024-01-01',
    headers } = {}) {
    const fields = { apikey: key, authorization: `Bearer ${token ?? key}`, ...headers }
    if (version) fields['x-supabase-api-version'] = version
    for (const name of Object.keys(fields)) if (fields[name] === null) delete fields[name]
    return this.call(`/auth/v1${target}`, { method, json, body, headers: fields })
  }

  // As an administrator.
  service(method, target, options = {}) {
    return this.auth(method, target, { key: this.keys.service, ...options })
  }

  // A route under /api, which takes no key.
  app(method, target, { json, body, token, headers } = {}) {
    const fields = { ...(token && { authorization: `Bearer ${token}` }), ...headers }
    return this.call(`/api${target}`, { method, json, body, headers: fields })
  }

  async metric(name) {
    const { text } = await this.ops('/metrics')
    const line = text.split('\n').find((l) => l.startsWith(`${name} `) || l.startsWith(`${name}{`))
    return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ') + 1))
  }

  // ---- its database ----

  // Rows of one statement through DB_URL, on a connection that stays open.
  async sql(text, values) {
    this.#db ??= sql.connect(this.db)
    return (await (await this.#db).query(text, values)).rows
  }

  // Before PostgreSQL is stopped or killed under it.
  async forgetSql() {
    const db = this.#db
    this.#db = undefined
    if (db) await sql.close(await db)
  }

  // DB_URL for another login, whose password the data folder keeps: "DB_ADMIN_PASSWORD".
  urlAs(role, secretName) {
    const line = fs.readFileSync(path.join(this.data, 'secrets.env'), 'utf8').split('\n')
      .find((l) => l.startsWith(`${secretName}=`))
    const password = line.slice(secretName.length + 1)
    return this.db.replace(/\/\/[^@]*@/, () => `//${role}:${password}@`)
  }

  postmasterPid() {
    return Number(fs.readFileSync(path.join(this.data, 'pg/postmaster.pid'), 'utf8').split('\n')[0])
  }
}

export async function start(options) {
  const server = new Server(options)
  await server.launch()
  return server
}

let users = 0

// An address that no other test uses.
export function email(name = 'user') {
  return `${name}-${process.pid}-${++users}@example.com`
}

export const password = 'Correct-horse-7'

// A user that exists, confirmed and logged in: { id, email, password, token, refresh, session }.
export async function signedUp(server, more = {}) {
  const address = more.email ?? email()
  const answer = await server.auth('POST', '/signup', {
    json: { email: address, password, ...more },
  })
  assert.equal(answer.status, 200, answer.text)
  return {
    id: answer.json.user.id, email: address, password: more.password ?? password,
    token: answer.json.access_token, refresh: answer.json.refresh_token, session: answer.json,
  }
}

export async function loggedIn(server, user) {
  const answer = await server.auth('POST', '/token?grant_type=password', {
    json: { email: user.email, password: user.password },
  })
  assert.equal(answer.status, 200, answer.text)
  return {
    ...user, token: answer.json.access_token, refresh: answer.json.refresh_token,
    session: answer.json,
  }
}

export const refreshed = (server, refreshToken) =>
  server.auth('POST', '/token?grant_type=refresh_token', { json: { refresh_token: refreshToken } })

export const countUsers = async (server, address) =>
  Number((await server.sql('select count(*) from auth.users where email = $1', [address]))[0].count)

after(async () => {
  const problems = []
  for (const server of [...running]) await server.close().catch((error) => problems.push(error))
  removeFolders()
  if (problems.length) throw problems[0]
}, { timeout: STOP_MS * 2 * patience })

process.on('exit', () => {
  for (const server of running) server.abandon()
  removeFolders()
})
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'])
  process.on(signal, () => process.exit(128 + os.constants.signals[signal]))
