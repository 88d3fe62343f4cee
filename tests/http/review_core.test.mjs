// SPDX-License-Identifier: Apache-2.0
// What a hostile reading of the core found: starting and stopping under odd circumstances, the
// limits of the system, root's commands on a folder that is not root's, TLS from outside.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import tls from 'node:tls'
import { after, describe, test } from 'node:test'
import { binary, command, processLives, scratch, start } from '../lib/basalt.mjs'
import { call } from '../lib/http.mjs'
import { patience, waitFor, within } from '../lib/wait.mjs'

const isRoot = process.getuid() === 0
const inherited = ['PATH', 'HOME', 'ASAN_OPTIONS', 'LSAN_OPTIONS', 'UBSAN_OPTIONS', 'TSAN_OPTIONS']
const started = []

// A server by way of a shell, which sets what only a shell can: limits, closed descriptors.
function startBy(script, { home = scratch(), args = [], stdio = ['ignore', 'pipe', 'pipe'] } = {}) {
  const data = path.join(home, 'data')
  const env = Object.fromEntries(inherited.filter((name) => process.env[name] !== undefined)
    .map((name) => [name, process.env[name]]))
  const child = spawn('/bin/sh', ['-c', script, binary, 'serve', '--data', data, '--listen',
    '127.0.0.1:0', '--admin-listen', '127.0.0.1:0', ...args], { cwd: home, env, stdio })
  const server = { child, data, home, out: '', err: '' }
  server.exited = new Promise((resolve) => child.on('exit', (code, signal) => resolve({ code, signal })))
  child.stdout?.setEncoding('utf8').on('data', (text) => (server.out += text))
  child.stderr?.setEncoding('utf8').on('data', (text) => (server.err += text))
  started.push(server)
  return server
}

const urlsOf = async (server) => {
  const done = await command(['status', '-o', 'json'], { data: server.data })
  assert.equal(done.code, 0, done.stderr)
  return JSON.parse(done.stdout)
}

// The shell has become the program, which has a handler for SIGTERM.
function listens(pid) {
  const caught = /^SigCgt:\s+(\w+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]
  return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith(binary)
    && (BigInt(`0x${caught}`) >> BigInt(os.constants.signals.SIGTERM - 1) & 1n) === 1n
}

const running = (server) => waitFor('the server', () => urlsOf(server), 30_000, 100)

async function end(server) {
  server.child.kill('SIGTERM')
  assert.deepEqual(await within(40_000, 'stopping', server.exited), { code: 0, signal: null })
}

after(async () => {
  for (const server of started) {
    if (server.child.exitCode === null && server.child.signalCode === null) server.child.kill('SIGKILL')
    spawnSync(binary, ['stop', '--data', server.data], { timeout: 30_000 })
  }
})

describe('starting', () => {
  test('a stop or a reload while it starts: it ends well and leaves no PostgreSQL behind', async () => {
    const home = scratch()
    for (const wait of [0, 60, 200, 500, 900]) {
      const server = startBy('exec "$0" "$@"', { home })
      await waitFor('it to listen to signals', () => listens(server.child.pid), 5000, 1)
      await new Promise((resolve) => setTimeout(resolve, wait * patience)) // anywhere in the start
      server.child.kill('SIGHUP')
      server.child.kill('SIGTERM')
      assert.deepEqual(await within(60_000, `the end after ${wait} ms`, server.exited),
        { code: 0, signal: null }, server.err)
      assert.ok(!fs.existsSync(path.join(home, 'data/pg/postmaster.pid')), `after ${wait} ms`)
    }
    const server = startBy('exec "$0" "$@"', { home })
    await running(server)
    await end(server)
  })

  test('closed standard descriptors become nobody else\'s', async () => {
    const server = startBy('exec "$0" "$@" <&- >&- 2>&-', { stdio: 'ignore' })
    const { API_URL: api, ANON_KEY: apikey } = await running(server)
    for (const fd of [0, 1, 2])
      assert.equal(fs.readlinkSync(`/proc/${server.child.pid}/fd/${fd}`), '/dev/null')
    assert.equal((await call(`${api}/auth/v1/health`, { headers: { apikey } })).status, 200)
    await end(server)
  })

  test('few descriptors: fewer connections, said so, and none fails', async () => {
    const server = startBy('ulimit -n 900; exec "$0" "$@"')
    const { API_URL: api, ANON_KEY: apikey } = await running(server)
    const said = /max_connections is (\d+) instead of 10000/.exec(server.err)
    assert.ok(said, server.err)
    const cap = Number(said[1])
    const { hostname, port } = new URL(api)
    const sockets = await Promise.all(Array.from({ length: cap + 20 }, () =>
      new Promise((resolve, reject) => {
        const socket = net.connect(Number(port), hostname, () => resolve(socket))
        socket.on('error', reject)
      })))
    let answered = 0
    for (const socket of sockets) {
      socket.once('data', () => answered++)
      socket.write(`GET /auth/v1/health HTTP/1.1\r\nHost: x\r\napikey: ${apikey}\r\n\r\n`)
    }
    await waitFor('the answers to all below the cap', () => answered >= cap)
    for (const socket of sockets.slice(0, 20)) socket.destroy()
    await waitFor('the answers to those that waited', () => answered >= cap + 20)
    for (const socket of sockets) socket.destroy()
    await end(server)
  })
})

const childrenOf = (pid) => fs.readdirSync('/proc').filter((name) => {
  try {
    return /^\d+$/.test(name)
      && Number(fs.readFileSync(`/proc/${name}/stat`, 'utf8').split(') ').pop().split(' ')[1]) === pid
  } catch {
    return false // it has ended
  }
}).map(Number)

const noNamespaces = spawnSync('unshare', ['-pf', '--mount-proc', 'true']).status !== 0

test('as process 1 of a container it clears away what a killed PostgreSQL leaves',
  { skip: noNamespaces && 'no namespaces here' }, async () => {
    const server = startBy('exec unshare -pf --mount-proc "$0" "$@"')
    await waitFor('the ready line', () => /^ready /m.test(server.out), 30_000)
    const [one] = childrenOf(server.child.pid)
    const [postmaster, ...others] = childrenOf(one)
    assert.deepEqual(others, [])
    process.kill(postmaster, 'SIGKILL')
    await waitFor('a new PostgreSQL, and no zombie', () => {
      const now = childrenOf(one)
      return now.length === 1 && now[0] !== postmaster
    }, 20_000)
    process.kill(one, 'SIGTERM')
    assert.equal((await within(40_000, 'stopping', server.exited)).code, 0)
  })

describe('the log', () => {
  test('that nobody reads stops nobody: lines are dropped and counted', async () => {
    const server = startBy('exec "$0" "$@"', { stdio: ['ignore', 'pipe', 'pipe'] })
    server.child.stderr.pause()
    const { API_URL: api, ADMIN_URL: admin, ANON_KEY: apikey } = await running(server)
    const dropped = async () => Number(/^basalt_log_dropped_total (\d+)$/m.exec(
      (await call(`${admin}/metrics`)).text)[1])
    const { hostname, port } = new URL(api)
    const socket = net.connect(Number(port), hostname)
    let bytes = 0
    socket.on('data', (chunk) => (bytes += chunk.length))
    const request = `GET /auth/v1/health HTTP/1.1\r\nHost: x\r\napikey: ${apikey}\r\n\r\n`
    await waitFor('lines to be dropped', async () => {
      const before = bytes
      socket.write(request.repeat(500))
      await waitFor('answers', () => bytes > before)
      return await dropped() > 0
    }, 30_000)
    socket.destroy()
    assert.equal((await call(`${api}/auth/v1/health`, { headers: { apikey } })).status, 200)
    await end(server)
  })
})

describe('root\'s commands on a folder of another user', { skip: !isRoot && 'only root has them' }, () => {
  test('basalt stop ends no process that the folder\'s owner could not end', async () => {
    const home = scratch()
    const data = path.join(home, 'data')
    const victim = spawn('/bin/sleep', ['60'], { stdio: 'ignore' })
    const ticks = fs.readFileSync(`/proc/${victim.pid}/stat`, 'utf8').split(') ')[1].split(' ')[19]
    fs.mkdirSync(data)
    fs.writeFileSync(path.join(data, 'server.env'), `PID=${victim.pid}\nSTARTED=${ticks}\n`
      + 'API_URL=http://127.0.0.1:1\nADMIN_URL=\nDB_URL=postgresql://x\n')
    fs.chownSync(path.join(data, 'server.env'), 65534, 65534)
    fs.chownSync(data, 65534, 65534)
    const done = await command(['stop'], { data })
    assert.match(done.stdout, /nothing was running/)
    assert.ok(processLives(victim.pid))
    assert.equal((await command(['status'], { data })).code, 3)
    fs.chownSync(path.join(data, 'server.env'), 0, 0) // as if the victim had written it
    assert.equal((await command(['stop'], { data })).code, 0)
    await waitFor('its end', () => !processLives(victim.pid))
  })

  test('basalt key renew leaves a file that the server can read', async () => {
    const server = await start()
    const owner = fs.statSync(path.join(server.data, 'secrets.env')).uid
    assert.notEqual(owner, 0)
    const done = await server.command(['key', 'renew'])
    assert.equal(done.code, 0, done.stderr)
    const { uid, mode } = fs.statSync(path.join(server.data, 'secrets.env'))
    assert.equal(uid, owner)
    assert.equal(mode & 0o777, 0o600)
    await server.restart()
    await server.close()
  })
})

describe('TLS', () => {
  const certificate = (home, name) => {
    const [key, cert] = ['key', 'pem'].map((kind) => path.join(home, `${name}.${kind}`))
    const made = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt',
      'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', `/CN=${name}`, '-keyout', key, '-out', cert])
    assert.equal(made.status, 0, String(made.stderr))
    fs.chmodSync(key, 0o644) // the server's user reads it again at SIGHUP
    return { key, cert }
  }
  const seen = (api, ALPNProtocols) => new Promise((resolve, reject) => {
    const { hostname, port } = new URL(api)
    const socket = tls.connect({ host: hostname, port, rejectUnauthorized: false, ALPNProtocols }, () => {
      resolve({ name: socket.getPeerCertificate().subject.CN, protocol: socket.alpnProtocol })
      socket.destroy()
    })
    socket.on('error', reject)
  })

  test('protocols by name; a new certificate at SIGHUP, the old one when it is broken', async () => {
    const home = scratch()
    const one = certificate(home, 'one'), two = certificate(home, 'two')
    const [key, cert] = [path.join(home, 'used.key'), path.join(home, 'used.pem')]
    const use = (pair) => {
      fs.copyFileSync(pair.key, key)
      fs.copyFileSync(pair.cert, cert)
    }
    use(one)
    const server = await start({ home, settings: { tls_cert: cert, tls_key: key } })
    assert.match(server.api, /^https:/)
    assert.deepEqual(await seen(server.api, ['h2', 'http/1.1']), { name: 'one', protocol: 'http/1.1' })
    assert.deepEqual(await seen(server.api, ['http/1.0']), { name: 'one', protocol: 'http/1.0' })
    assert.deepEqual(await seen(server.api), { name: 'one', protocol: false })
    await assert.rejects(seen(server.api, ['h2']))

    use(two)
    server.kill('SIGHUP')
    await waitFor('the new certificate', async () => (await seen(server.api)).name === 'two')
    fs.writeFileSync(cert, 'not a certificate')
    server.kill('SIGHUP')
    await waitFor('the complaint', () => server.events('tls.reload_failed').length === 1)
    assert.equal((await seen(server.api)).name, 'two')
    await server.close()
  })
})

describe('metrics', () => {
  test('connections, bytes, refusals and stages are counted', async () => {
    const server = await start()
    const value = (name) => server.metric(name)
    await server.auth('GET', '/health')
    await server.call('/auth/v1/user')
    await server.auth('GET', '/user', { token: 'a.b.c' })
    const { hostname, port } = new URL(server.api)
    net.connect(Number(port), hostname).end('GET / HTTP/1.1\n\n')
    await waitFor('the malformed one', async () => await value('basalt_http_malformed_total') === 1)
    assert.ok(await value('basalt_http_connections_accepted_total') >= 2)
    assert.ok(await value('basalt_http_request_bytes_total') > 100)
    assert.ok(await value('basalt_http_response_bytes_total') > 500)
    const { text } = await server.ops('/metrics')
    assert.match(text, /^basalt_http_denied_total\{reason="api_key"\} 1$/m)
    assert.match(text, /^basalt_http_denied_total\{reason="token"\} 1$/m)
    assert.match(text, /^basalt_http_stage_seconds_count\{stage="write"\} [1-9]/m)
    await server.close()
  })
})
