// SPDX-License-Identifier: Apache-2.0
// Starting, stopping, dying and coming back: what a user of the API notices of it.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { describe, test } from 'node:test'
import { command, email, password, processLives, refreshed, scratch, Server, signedUp, start }
  from '../lib/basalt.mjs'
import { RawConnection } from '../lib/http.mjs'
import { claimsOf, sign } from '../lib/jwt.mjs'
import { patience, sanitized, waitFor, within } from '../lib/wait.mjs'

const getUser = (server, token) => server.auth('GET', '/user', { token })
const healthy = async (server, user) => {
  assert.equal((await getUser(server, user.token)).status, 200)
  const next = await refreshed(server, user.refresh)
  assert.equal(next.status, 200, next.text)
  user.refresh = next.json.refresh_token
}

// Starts a server that must not come up: { code, stderr } with its log and complaint.
async function refusedStart(options) {
  const server = new Server(options)
  server.spawn()
  const end = await within(30_000, 'the refusal', server.exited)
  return { ...end, said: server.log().split('\n').filter((line) => !line.startsWith('{')).join('\n') }
}

describe('one server', () => {
  test('restart, SIGTERM to end: keys, users, sessions and tokens stay', async () => {
    const server = await start()
    const user = await signedUp(server)
    const keys = { ...server.keys }
    const end = await server.stop()
    assert.deepEqual(end, { code: 0, signal: null })
    assert.ok(!fs.existsSync(path.join(server.data, 'pg/postmaster.pid')), 'PostgreSQL is stopped too')
    await server.launch()
    assert.deepEqual(server.keys, keys)
    await healthy(server, user)

    await server.die()
    const postmaster = server.postmasterPid()
    assert.ok(processLives(postmaster), 'PostgreSQL lives on')
    await server.launch()
    assert.equal(server.postmasterPid(), postmaster, 'taken over, not restarted')
    // 2 s on a machine of its own, which ./dev soak measures; here other tests run
    assert.ok(server.readyMs < 6000 * patience, `ready in ${server.readyMs} ms`)
    await healthy(server, user)

    const before = server.postmasterPid()
    await server.forgetSql()
    process.kill(before, 'SIGKILL')
    await waitFor('PostgreSQL to be back', async () =>
      (await server.ops('/readyz')).status === 200
        && (await getUser(server, user.token)).status === 200
        && server.postmasterPid() !== before, 15_000)
    await healthy(server, user)
    assert.equal(server.events('cluster.down').length, 1)
    assert.equal(server.events('cluster.up').length, 1)

    // both at once, in the order that leaves PostgreSQL's children behind
    await server.forgetSql()
    process.kill(server.postmasterPid(), 'SIGKILL')
    await server.die()
    await server.launch()
    await healthy(server, user)
    assert.ok(server.readyMs < 6000 * patience, `ready in ${server.readyMs} ms`)
    await server.close()
  })

  test('basalt status and stop, running, killed and not there', async () => {
    const server = await start()
    const env = await server.command(['status', '-o', 'env'])
    for (const name of ['API_URL', 'DB_URL', 'ANON_KEY', 'SERVICE_ROLE_KEY', 'PUBLISHABLE_KEY',
      'SECRET_KEY', 'JWT_SECRET', 'SUPABASE_URL', 'SUPABASE_KEY', 'SUPABASE_SERVICE_KEY'])
      assert.match(env.stdout, new RegExp(`^${name}="[^"]+"$`, 'm'))
    assert.equal(server.status.SUPABASE_URL, server.status.API_URL)
    assert.equal(server.status.SUPABASE_KEY, server.status.ANON_KEY)
    assert.equal(server.status.SUPABASE_SERVICE_KEY, server.status.SERVICE_ROLE_KEY)

    const running = await server.command(['stop'])
    assert.equal(running.code, 0, running.stderr)
    assert.deepEqual(await within(1000, 'the end', server.exited), { code: 0, signal: null })
    const gone = await server.command(['status'])
    assert.equal(gone.code, 3)
    assert.match(gone.stderr, /no server is running on .*start one with `basalt serve`/)
    assert.match((await server.command(['stop'])).stdout, /nothing was running/)

    await server.launch()
    const postmaster = server.postmasterPid()
    await server.die()
    assert.equal((await server.command(['status'])).code, 3, 'a killed server is not running')
    const stop = await server.command(['stop'])
    assert.equal(stop.code, 0, stop.stderr)
    assert.match(stop.stdout, /its PostgreSQL was/)
    assert.ok(!processLives(postmaster))
  })

  test('a second server on the folder or on the port is refused in a sentence', async () => {
    const server = await start()
    const folder = await refusedStart({ home: server.home, data: server.data })
    assert.equal(folder.code, 1)
    assert.match(folder.said, /another server runs on the data folder .*basalt stop.*--data/)
    const { host } = new URL(server.api)
    const port = await refusedStart({ settings: { listen: host } })
    assert.equal(port.code, 1)
    assert.match(port.said, new RegExp(`${host} is in use.*listen`))
    const admin = await refusedStart({ settings: { admin_listen: new URL(server.admin).host } })
    assert.match(admin.said, /in use.*admin_listen/)
    await healthy(server, await signedUp(server))
    await server.close()
  })

  test('SIGHUP without certificates changes nothing', async () => {
    const server = await start()
    server.kill('SIGHUP')
    await healthy(server, await signedUp(server))
    await server.close()
  })
})

describe('SIGTERM', () => {
  const ask = {
    health: 'GET /auth/v1/health HTTP/1.1\r\nHost: a\r\n\r\n',
    login: (address) => {
      const body = JSON.stringify({ email: address, password })
      return 'POST /api/auth/login HTTP/1.1\r\nHost: a\r\n'
        + `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
    },
    signup: () => {
      const body = JSON.stringify({ email: email('drain'), password })
      return 'POST /api/auth/signup HTTP/1.1\r\nHost: a\r\n'
        + `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
    },
  }

  test('loses nothing of 40 clients in flight', async () => {
    const server = await start({ settings: { rate_limits: 'off' } })
    const user = await signedUp(server)
    const kinds = [() => ask.health, () => ask.login(user.email), ask.signup, () => ask.health]
    // half of them hash: what instrumented code does not finish within its deadline is an answer too
    const fine = sanitized ? [200, 429, 503, 504] : [200, 429]
    const counts = { answered: 0, closed: 0 }
    const signed = []
    let stopping = false
    const client = async (i) => {
      const connection = await RawConnection.open(server.api)
      for (;;) {
        const text = kinds[i % kinds.length]()
        connection.send(text)
        const answer = await connection.answer()
        assert.ok(answer, `client ${i}: no answer${stopping ? ' while stopping' : ''}`)
        assert.ok(fine.includes(answer.status), answer.text)
        if (answer.json.user_id && text.includes('signup')) signed.push(answer.json.user_id)
        counts.answered++
        if (answer.headers.connection === 'close') break
      }
      counts.closed++
      assert.equal(await connection.ending(), '')
    }
    const clients = Array.from({ length: 40 }, (_, i) => client(i))
    const done = Promise.all(clients)
    done.catch(() => {})
    const enough = sanitized ? 200 : 1000
    await waitFor(`${enough} answers`, () => counts.answered > enough || counts.closed, 30_000)
    server.kill('SIGTERM')
    stopping = true
    await within(40_000, 'every client\'s last answer', done)
    assert.equal(counts.closed, 40)
    assert.deepEqual(await within(40_000, 'the end', server.exited), { code: 0, signal: null })
    await server.launch()
    const [{ n }] = await server.sql(
      'select count(*)::int n from public.profiles where id = any($1)', [signed])
    assert.equal(n, new Set(signed).size, 'every acknowledged signup is there')
    await server.close()
  })

  test('idle connections get one more answer; requests half sent are finished; new ones refused',
    async () => {
      const server = await start()
      const idle = await RawConnection.open(server.api)
      idle.send(ask.health)
      assert.equal((await idle.answer()).headers.connection, 'keep-alive')
      const fresh = await RawConnection.open(server.api)
      const half = await RawConnection.open(server.api)
      const whole = ask.signup()
      half.send(whole.slice(0, -10))
      await waitFor('three connections', async () =>
        await server.metric('basalt_http_connections') >= 3)
      server.kill('SIGTERM')
      await waitFor('the listener to close', () => new Promise((resolve) => {
        const probe = net.connect(Number(new URL(server.api).port), '127.0.0.1',
          () => { probe.destroy(); resolve(false) })
        probe.on('error', () => resolve(true))
      }), 5000)
      for (const connection of [idle, fresh]) {
        connection.send(ask.health)
        const answer = await connection.answer()
        assert.equal(answer?.status, 200)
        assert.equal(answer.headers.connection, 'close')
      }
      half.send(whole.slice(-10))
      const finished = await half.answer()
      assert.equal(finished?.status, 200, finished?.text)
      assert.equal(finished.headers.connection, 'close')
      assert.deepEqual(await within(10_000, 'the end', server.exited), { code: 0, signal: null })
    })
})

describe('two servers on one database', () => {
  test('tokens, keys and passwords of one work on the other, changes are seen', async () => {
    const first = await start()
    const second = await first.beside()
    assert.deepEqual(second.keys, first.keys)
    assert.equal(second.jwtSecret, first.jwtSecret)
    const user = await signedUp(first)
    await healthy(second, user)
    await healthy(first, user)
    const login = await second.app('POST', '/auth/login', { json: { email: user.email, password } })
    assert.equal(login.status, 200)
    assert.equal((await first.app('GET', '/auth/me', { token: login.json.access_token })).status, 200)
    assert.equal((await getUser(second, user.token)).status, 200)
    assert.equal((await first.auth('POST', '/logout', { token: user.token })).status, 204)
    await waitFor('the logout on the other', async () =>
      (await getUser(second, user.token)).status === 403, 1000, 5)
    // the second one's end leaves the first one's database alone
    assert.deepEqual(await second.stop(), { code: 0, signal: null })
    await healthy(first, await signedUp(first))
    await first.close()
  })

  test('an external database is migrated when asked, else told what is pending', async () => {
    const first = await start()
    await first.sql('create database shop')
    const databaseUrl = first.db.replace('@/postgres?', '@/shop?')
    const pending = await refusedStart({ databaseUrl })
    assert.equal(pending.code, 1)
    assert.match(pending.said, /lacks \d+ migrations: run `basalt migrate`.*--migrate/)
    const dry = await command(['migrate', '--dry-run', '--database-url', databaseUrl])
    assert.equal(dry.code, 0, dry.stderr)
    assert.match(dry.stdout, /^\d+ pending/m)
    const shop = await start({ databaseUrl, settings: { migrate: true } })
    await healthy(shop, await signedUp(shop))
    assert.equal((await first.sql('select count(*)::int n from auth.users'))[0].n, 0,
      'users of one database are not the other\'s')
    const again = await command(['migrate', '--dry-run', '--database-url', databaseUrl])
    assert.match(again.stdout, /^0 pending/m)
    await shop.close()
    await first.close()
  })

  test('a database that is not there is named', async () => {
    const nowhere = await refusedStart({ databaseUrl: 'postgresql://x:secret-word@127.0.0.1:1/x' })
    assert.equal(nowhere.code, 1)
    assert.match(nowhere.said, /127\.0\.0\.1/)
    assert.doesNotMatch(nowhere.said, /secret-word/)
  })
})

describe('the app\'s own migrations', () => {
  const write = (home, name, text) => {
    const folder = path.join(home, 'supabase/migrations')
    fs.mkdirSync(folder, { recursive: true })
    fs.writeFileSync(path.join(folder, name), text)
  }

  test('run in order, once, as the app\'s owner; their own profiles table counts', async () => {
    const home = scratch()
    write(home, '20240101000000_first.sql', 'create table public.todos (id int primary key);\n'
      + 'create table public.profiles (id uuid primary key references auth.users, name text);')
    write(home, '20240102000000_second.sql', 'insert into public.todos values (1);')
    const server = await start({ home })
    assert.deepEqual(await server.sql('select id from public.todos'), [{ id: 1 }])
    const [owner] = await server.sql(
      "select tableowner from pg_tables where tablename = 'todos'")
    assert.equal(owner.tableowner, 'postgres')
    await signedUp(server) // into a project whose profiles are the app's own, unset
    write(home, '20240103000000_third.sql', 'insert into public.todos values (2);')
    await server.restart()
    assert.deepEqual(await server.sql('select id from public.todos order by id'),
      [{ id: 1 }, { id: 2 }])
    await server.close()
  })

  test('a failing one stops the start, with file and line, and leaves nothing of itself', async () => {
    const home = scratch()
    write(home, '1_good.sql', 'create table public.good (id int);')
    write(home, '2_bad.sql',
      'create table public.half (id int);\n\ninsert into public.nowhere values (1);\n')
    const refused = await refusedStart({ home })
    assert.equal(refused.code, 1)
    assert.match(refused.said, /2_bad\.sql/)
    assert.match(refused.said, /\b3\b/)
    assert.match(refused.said, /nowhere/)
    write(home, '2_bad.sql', 'create table public.half (id int);\n')
    const server = await start({ home })
    assert.deepEqual(await server.sql('select id from public.half'), [])
    await server.close()
  })
})

describe('settings', () => {
  const serve = (args, more) => command(['serve', ...args], { data: scratch(), ...more })

  test('an unknown one is named with a suggestion', async () => {
    for (const [args, settings, words] of [
      [['--lsiten', '127.0.0.1:0'], {}, /unknown flag --lsiten; did you mean --listen\?/],
      [[], { pool_sise: 4 }, /unknown setting BASALT_POOL_SISE.*BASALT_POOL_SIZE/],
      [['--nonsense'], {}, /unknown flag --nonsense/],
      [['--pool-size', 'many'], {}, /pool_size must be .*"many"/],
      [['--pool-size', '-1'], {}, /pool_size/],
      [[], { request_timeout: '5 parsecs' }, /request_timeout/],
      [[], { log_level: 'loud' }, /log_level.*debug.*info/],
      [[], { jwt_secret: 'too-short' }, /jwt_secret is too short/],
      [['--tls-cert', '/x.pem'], {}, /tls_cert and tls_key/],
      [['--listen', 'nonsense'], { admin_listen: 'off' }, /nonsense/],
    ]) {
      const done = await serve(args, { settings })
      assert.ok([1, 2].includes(done.code), `${args} ${JSON.stringify(settings)}: ${done.stderr}`)
      assert.match(done.stderr, words)
      assert.ok(done.stderr.split('\n').length < 6, `a sentence, not a page: ${done.stderr}`)
    }
  })

  test('flag over environment over basalt.conf; GoTrue\'s names are understood', async () => {
    const home = scratch()
    fs.writeFileSync(path.join(home, 'basalt.conf'),
      'jwt_exp = 111\npassword_min_length = 9\nsite_url = http://from.file\n')
    const server = await start({ home, settings: { jwt_exp: 222 }, args: ['--jwt-exp', '333'],
      env: { GOTRUE_PASSWORD_MIN_LENGTH: '10' } })
    const user = await signedUp(server)
    assert.equal(user.session.expires_in, 333)
    const short = await server.auth('POST', '/signup', { json: { email: email(), password: '123456789' } })
    assert.equal(short.json.message, 'Password should be at least 10 characters.')
    await server.close()
    const wrong = await command(['serve'], { data: scratch(), cwd: home,
      settings: { data: '/nowhere' }, env: { PGRST_JWT_SECRET: 'short' } })
    assert.equal(wrong.code, 2)
  })

  test('given keys are used, and told by status', async () => {
    const home = scratch()
    const settings = { jwt_secret: 'a-secret-of-more-than-32-bytes-for-tests',
      secret_key: 'sb_secret_given_by_a_test_000' }
    const server = await start({ home, settings })
    assert.equal(server.jwtSecret, settings.jwt_secret)
    assert.equal(server.keys.secret, settings.secret_key)
    assert.equal((await server.auth('GET', '/admin/users', { key: settings.secret_key })).status, 200)
    const user = await signedUp(server)
    assert.equal((await getUser(server, sign(claimsOf(user.token), settings.jwt_secret))).status, 200)
    for (const name of ['secrets.env', 'server.env'])
      assert.equal(fs.statSync(path.join(server.data, name)).mode & 0o777, 0o600)
    await server.close()
  })

  test('secrets are read from files named by _FILE', async () => {
    const home = scratch()
    const file = path.join(home, 'word')
    fs.writeFileSync(file, 'the-secret-of-a-file-0123456789-abcdef\n')
    const server = await start({ home, settings: { jwt_secret_file: file } })
    const user = await signedUp(server)
    assert.equal((await getUser(server, sign(claimsOf(user.token),
      'the-secret-of-a-file-0123456789-abcdef'))).status, 200)
    await server.close()
  })

  test('as root: server and cluster run as the unprivileged user',
    { skip: process.getuid() !== 0 && 'only root changes users' }, async () => {
      const server = await start()
      const uidOf = (pid) => Number(/^Uid:\s+(\d+)/m.exec(
        fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1])
      assert.notEqual(uidOf(server.pid), 0)
      assert.equal(uidOf(server.postmasterPid()), uidOf(server.pid))
      assert.equal(fs.statSync(server.data).uid, uidOf(server.pid))
      assert.equal(fs.statSync(server.data).mode & 0o077, 0)
      await server.close()
    })
})
