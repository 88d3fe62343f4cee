// SPDX-License-Identifier: Apache-2.0
// What every request meets before and after its handler: keys, CORS, ids, headers, the log.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import fs from 'node:fs'
import path from 'node:path'
import { email, password, refreshed, signedUp, start } from '../lib/basalt.mjs'
import { exchange } from '../lib/http.mjs'
import { connect } from '../lib/sql.mjs'

let server

before(async () => {
  server = await start()
})

const origin = 'https://app.example.com'

describe('CORS', () => {
  test('a preflight allows what supabase-js sends', async () => {
    const wanted = 'apikey,authorization,content-type,x-client-info,x-supabase-api-version'
    for (const target of ['/auth/v1/token?grant_type=password', '/api/auth/login']) {
      const answer = await server.call(target, { method: 'OPTIONS', headers: {
        origin, 'access-control-request-method': 'POST', 'access-control-request-headers': wanted,
      } })
      assert.equal(answer.status, 204)
      assert.equal(answer.headers['access-control-allow-origin'], '*')
      assert.match(answer.headers['access-control-allow-methods'], /\bPOST\b/)
      const allowed = answer.headers['access-control-allow-headers'].toLowerCase().split(/,\s*/)
      for (const name of wanted.split(',')) assert.ok(allowed.includes(name), name)
      assert.equal(answer.headers['access-control-max-age'], '86400')
      assert.match(answer.headers.vary, /Access-Control-Request-Headers/)
    }
  })

  test('every error carries it, also of requests that were refused unread', async () => {
    const answers = [
      await server.call('/auth/v1/user', { headers: { origin } }),
      await server.call('/auth/v1/nowhere', { headers: { origin } }),
      await server.call('/nowhere', { headers: { origin } }),
      await server.call('/api/auth/login', { method: 'POST', body: '{', headers: { origin } }),
      await server.call('/api/auth/login', { method: 'PUT', headers: { origin } }),
      ...await exchange(server.api,
        `GET /x HTTP/1.1\r\nHost: a\r\nOrigin: ${origin}\r\nContent-Length: x\r\n\r\n`),
    ]
    assert.deepEqual(answers.map((answer) => answer.status), [401, 404, 404, 400, 405, 400])
    for (const answer of answers) {
      assert.equal(answer.headers['access-control-allow-origin'], '*', answer.text)
      assert.match(answer.headers['access-control-expose-headers'], /X-Total-Count/)
      assert.ok(answer.headers['x-request-id'])
    }
  })

  test('with origins set only those may read', async () => {
    const strict = await server.beside(
      { cors_origins: 'https://app.example.com, https://*.example.org' })
    const allowed = async (from) => {
      const answer = await strict.call('/auth/v1/health', { headers: from ? { origin: from } : {} })
      assert.equal(answer.status, 200)
      assert.match(answer.headers.vary, /Origin/)
      return answer.headers['access-control-allow-origin']
    }
    assert.equal(await allowed('https://app.example.com'), 'https://app.example.com')
    assert.equal(await allowed('https://x.example.org'), 'https://x.example.org')
    for (const bad of ['http://app.example.com', 'https://app.example.com.evil.net',
      'https://example.org', 'null', undefined])
      assert.equal(await allowed(bad), undefined, bad)
    const preflight = await strict.call('/auth/v1/health', { method: 'OPTIONS', headers: {
      origin: 'https://evil.net', 'access-control-request-method': 'GET' } })
    assert.equal(preflight.status, 204)
    assert.equal(preflight.headers['access-control-allow-methods'], undefined)
    await strict.close()
  })
})

describe('headers of every answer', () => {
  test('X-Request-ID: theirs when well-formed, else ours', async () => {
    const theirs = `test-${process.pid}.1_a`
    const echoed = await server.call('/auth/v1/health', { headers: { 'x-request-id': theirs } })
    assert.equal(echoed.headers['x-request-id'], theirs)
    const seen = new Set()
    for (const bad of [undefined, '', 'has space', 'x'.repeat(129), 'semi;colon', '<script>']) {
      const headers = bad === undefined ? {} : { 'x-request-id': bad }
      const answer = await server.call('/auth/v1/health', { headers })
      const id = answer.headers['x-request-id']
      assert.notEqual(id, bad)
      assert.match(id, /^[0-9A-Za-z._-]{16,128}$/)
      seen.add(id)
    }
    assert.equal(seen.size, 6)
  })

  test('security headers, time spent, and no server banner', async () => {
    for (const target of ['/auth/v1/health', '/nowhere']) {
      const { headers } = await server.call(target)
      assert.equal(headers['x-content-type-options'], 'nosniff')
      assert.equal(headers['x-frame-options'], 'DENY')
      assert.ok(headers['referrer-policy'])
      assert.match(headers['server-timing'], /^total;dur=\d+\.\d\d/)
      assert.match(headers['x-response-time'], /^\d+\.\d\dms$/)
      assert.equal(headers['strict-transport-security'], undefined) // told over TLS only
      assert.equal(headers.server, undefined)
      assert.ok(headers.date)
    }
    const login = await server.auth('POST', '/token?grant_type=password',
      { json: { email: email(), password } })
    assert.match(login.headers['server-timing'], /total;dur=[\d.]+, db;dur=[\d.]+, hash;dur=[\d.]+/)
  })

  test('traceparent is taken over and logged', async () => {
    const trace = 'abcdef0123456789abcdef0123456789'
    const taken = await server.call('/auth/v1/health',
      { headers: { traceparent: `00-${trace}-0123456789abcdef-01` } })
    assert.equal((await server.logged(taken.headers['x-request-id'])).trace_id, trace)
    for (const bad of [`00-${'0'.repeat(32)}-0123456789abcdef-01`, 'nonsense',
      `ff-${trace}-0123456789abcdef-01`]) {
      const answer = await server.call('/auth/v1/health', { headers: { traceparent: bad } })
      const line = await server.logged(answer.headers['x-request-id'])
      assert.match(line.trace_id, /^[0-9a-f]{32}$/)
      assert.notEqual(line.trace_id, trace)
    }
  })
})

describe('API keys', () => {
  const settings = (headers, query = '') =>
    server.call(`/auth/v1/settings${query}`, { headers })

  test('all four work, in header, bearer or query', async () => {
    for (const key of Object.values(server.keys)) {
      assert.equal((await settings({ apikey: key })).status, 200)
      assert.equal((await settings({ authorization: `Bearer ${key}` })).status, 200)
      assert.equal((await settings({}, `?apikey=${encodeURIComponent(key)}`)).status, 200)
    }
  })

  test('missing or wrong is the gateway\'s 401', async () => {
    const missing = await settings({})
    assert.equal(missing.status, 401)
    assert.deepEqual(missing.json, { message: 'No API key found in request',
      hint: 'No `apikey` request header or url param was found.' })
    for (const key of ['x', 'sb_publishable_wrong', `${server.keys.anon}x`,
      server.keys.anon.slice(0, -2), server.keys.secret.toUpperCase()]) {
      for (const answer of [await settings({ apikey: key }),
        await settings({}, `?apikey=${encodeURIComponent(key)}`)]) {
        assert.equal(answer.status, 401)
        assert.equal(answer.json.message, 'Invalid API key')
      }
    }
    const signup = await server.call('/auth/v1/signup',
      { method: 'POST', json: { email: email(), password } })
    assert.equal(signup.status, 401)
  })

  test('public paths and the app\'s routes ask for none', async () => {
    assert.equal((await server.call('/auth/v1/health')).json.name, 'GoTrue')
    const jwks = await server.call('/auth/v1/.well-known/jwks.json')
    assert.deepEqual(jwks.json, { keys: [] })
    assert.equal(jwks.headers['cache-control'], 'public, max-age=600')
    assert.equal((await server.app('GET', '/auth/health')).status, 200)
    assert.equal((await server.app('POST', '/auth/register',
      { json: { email: email(), password } })).status, 201)
  })

  test('a user\'s token with a key, and never a key as a user', async () => {
    const user = await signedUp(server)
    assert.equal((await server.call('/auth/v1/user',
      { headers: { authorization: `Bearer ${user.token}` } })).status, 401)
    for (const key of [server.keys.anon, server.keys.publishable])
      assert.equal((await server.auth('GET', '/user', { token: user.token, key })).status, 200)
    const asKey = await server.auth('GET', '/user', { key: server.keys.anon })
    assert.equal(asKey.status, 403)
    assert.equal(asKey.json.code, 'bad_jwt')
    assert.equal(asKey.json.message, 'invalid claim: missing sub claim')
  })

  test('without api_key_required no key is asked for', async () => {
    const open = await server.beside({ api_key_required: false })
    assert.equal((await open.call('/auth/v1/settings')).status, 200)
    const made = await open.call('/auth/v1/signup',
      { method: 'POST', json: { email: email(), password } })
    assert.equal(made.status, 200)
    assert.equal((await open.call('/auth/v1/user',
      { headers: { authorization: `Bearer ${made.json.access_token}` } })).status, 200)
    assert.equal((await open.call('/auth/v1/admin/users')).status, 401)
    await open.close()
  })
})

describe('paths and methods', () => {
  test('unknown: GoTrue\'s plain text under /auth/v1, JSON elsewhere', async () => {
    const auth = await server.auth('GET', '/nowhere')
    assert.equal(auth.status, 404)
    assert.match(auth.headers['content-type'], /^text\/plain/)
    assert.equal(auth.text, '404 page not found\n')
    const app = await server.app('GET', '/nowhere')
    assert.equal(app.status, 404)
    assert.equal(app.json.detail, 'There is nothing at this path')
    assert.equal(app.json.status_code, 404)
    assert.equal(app.json.request_id, app.headers['x-request-id'])
    for (const target of ['/auth/v1/user/', '/auth/v1//user', '/auth/v1/%75ser', '/AUTH/v1/user',
      '/auth/v1/../v1/user', '/auth/v1/user;x', '/']) {
      const [answer] = await exchange(server.api,
        `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
      assert.equal(answer.status, 404, target)
    }
  })

  test('a wrong method is 405: empty under /auth/v1, JSON elsewhere', async () => {
    const auth = await server.auth('DELETE', '/user')
    assert.equal(auth.status, 405)
    assert.equal(auth.text, '')
    const app = await server.app('DELETE', '/auth/me')
    assert.equal(app.status, 405)
    assert.equal(app.json.error, 'method_not_allowed')
    for (const answer of [auth, app]) assert.match(answer.headers.allow, /GET/)
  })

  test('surfaces of Supabase that are not built yet say so', async () => {
    for (const target of ['/realtime/v1', '/realtime/v1/websocket', '/rest/v1/todos',
      '/storage/v1/bucket', '/functions/v1/hello', '/graphql/v1']) {
      const answer = await server.call(target, { headers: { apikey: server.keys.anon } })
      assert.equal(answer.status, 501, target)
      assert.match(answer.json.message ?? answer.json.error, /not available in this version/)
    }
    const similar = await server.call('/restless')
    assert.equal(similar.status, 404)
    assert.equal((await server.call('/rest/v10/x')).status, 404)
  })

  test('HEAD answers as GET without the body, OPTIONS without origin names the methods', async () => {
    const [head, next] = await exchange(server.api,
      'HEAD /auth/v1/health HTTP/1.1\r\nHost: a\r\n\r\n'
      + 'GET /auth/v1/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
      { methods: ['HEAD', 'GET'] })
    assert.equal(head.status, 200)
    assert.equal(head.text, '')
    assert.equal(head.headers['content-length'], next.headers['content-length'])
    assert.equal(next.json.name, 'GoTrue')
    const options = await server.call('/api/auth/me', { method: 'OPTIONS' })
    assert.equal(options.status, 204)
    assert.match(options.headers.allow, /GET/)
    const [all] = await exchange(server.api,
      'OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    assert.equal(all.status, 204)
  })

  test('health and metrics are on the admin listener only, and nothing else is', async () => {
    for (const target of ['/livez', '/readyz', '/metrics'])
      assert.equal((await server.call(target)).status, 404, target)
    assert.deepEqual((await server.ops('/livez')).json, { status: 'ok' })
    assert.deepEqual((await server.ops('/readyz')).json, { status: 'ready' })
    assert.equal((await server.ops('/auth/v1/health')).status, 404)
    assert.equal((await server.ops('/api/auth/health')).status, 404)
    const metrics = await server.ops('/metrics')
    assert.match(metrics.headers['content-type'], /^text\/plain; version=0\.0\.4/)
    assert.match(metrics.text, /^basalt_http_requests_total\{code="200"\} \d+$/m)
    assert.match(metrics.text, /^basalt_pg_pool_size 8$/m)
    for (const line of metrics.text.trimEnd().split('\n'))
      assert.match(line, /^(# (HELP|TYPE) .+|[a-z_]+(\{[^}]*\})? (-?[0-9.e+-]+|\+Inf|NaN))$/)
  })
})

describe('the log', () => {
  test('one JSON line a request', async () => {
    const user = await signedUp(server)
    const answer = await server.auth('GET', '/user?secret=1', { token: user.token })
    const line = await server.logged(answer.headers['x-request-id'])
    assert.equal(line.event, 'request')
    assert.equal(line.method, 'GET')
    assert.equal(line.path, '/auth/v1/user')
    assert.equal(line.route, '/auth/v1/user')
    assert.equal(line.status, 200)
    assert.equal(line.ip, '127.0.0.1')
    assert.equal(line.user_id, user.id)
    assert.equal(line.bytes, Buffer.byteLength(answer.text))
    assert.equal(typeof line.ms, 'number')
    const lines = server.events().filter((l) => l.request_id === line.request_id
      && l.event !== 'audit')
    assert.equal(lines.length, 1)
    const refused = await server.call('/auth/v1/user')
    const why = await server.logged(refused.headers['x-request-id'])
    assert.equal(why.status, 401)
    assert.match(JSON.stringify(why), /no_api_key/)
  })

  test('a slow request is marked with method, route and seconds', async () => {
    const slow = await server.beside({ slow_request: '5ms' })
    const answer = await slow.app('POST', '/auth/register', { json: { email: email(), password } })
    assert.equal(answer.status, 201)
    const line = await slow.logged(answer.headers['x-request-id'])
    assert.equal(line.event, 'slow_request')
    assert.equal(line.level, 'warn')
    assert.equal(line.method, 'POST')
    assert.equal(line.route, '/api/auth/register')
    assert.ok(line.seconds > 0.005 && line.seconds < 10, String(line.seconds))
    assert.ok(Math.abs(line.seconds * 1000 - line.ms) < 2)
    assert.equal(await slow.metric('basalt_http_slow_requests_total{surface="app"}'), 1)
    await slow.close()
  })

  test('holds no password, token or key of anything that happened here', async () => {
    const words = ['very-secret-password-1', 'very-secret-password-2', 'wrong-secret-password']
    const secrets = [...words, ...Object.values(server.keys), server.jwtSecret,
      new URL(server.db.replace('@/', '@x/')).password, server.urlAs('x', 'DB_ADMIN_PASSWORD')
        .split(':')[2].split('@')[0]]
    const address = email('secret')
    const made = await server.auth('POST', '/signup', { json: { email: address,
      password: words[0], data: { note: 'fine' } } })
    secrets.push(made.json.access_token, made.json.refresh_token)
    for (const word of [words[0], words[2]]) {
      const login = await server.app('POST', '/auth/login',
        { json: { email: address, password: word } })
      if (login.status === 200) secrets.push(login.json.access_token, login.json.refresh_token)
    }
    const next = await refreshed(server, made.json.refresh_token)
    secrets.push(next.json.access_token, next.json.refresh_token)
    await refreshed(server, 'secretsecret')
    secrets.push('secretsecret')
    await server.call(`/auth/v1/settings?apikey=${server.keys.secret}`)
    await server.call(`/nowhere?access_token=${made.json.access_token}`)
    await server.service('PUT', `/admin/users/${made.json.user.id}`,
      { json: { password: words[1] } })
    await server.auth('GET', '/user', { token: 'not.a.token-but-secret' })
    secrets.push('not.a.token-but-secret')
    await server.app('POST', '/auth/login', { body: `{"email":"${address}","password":"${words[0]}` })
    await server.app('POST', '/auth/register', { json: { email: address, password: words[0] } })
    await server.sql('alter table public.profiles add constraint no_such check (false) not valid')
    const admin = await connect(server.urlAs('supabase_admin', 'DB_ADMIN_PASSWORD'))
    try {
      await server.app('POST', '/auth/register',
        { json: { email: email('secret'), password: words[0] } })
      await server.auth('POST', '/signup', { json: { email: email('secret'), password: words[0] } })
      // a row that PostgreSQL would quote, hash included
      await admin.query('alter table auth.users add constraint no_such check (false) not valid')
      const failed = await server.auth('POST', '/signup',
        { json: { email: email('secret'), password: words[0] } })
      assert.equal(failed.status, 500)
    } finally {
      await server.sql('alter table public.profiles drop constraint no_such')
      await admin.query('alter table auth.users drop constraint if exists no_such')
    }
    const cli = await server.command(['user', 'password', address], { input: `${words[1]}\n` })
    assert.equal(cli.code, 0, cli.stderr)
    const last = await server.call('/auth/v1/health')
    await server.logged(last.headers['x-request-id'])
    const database = fs.readFileSync(path.join(server.data, 'log/postgres.log'), 'utf8')
    assert.match(database, /no_such/, 'the database\'s own log names the constraint')
    const log = server.log() + cli.stdout + cli.stderr + server.stdout + database
    for (const secret of secrets) {
      assert.ok(secret.length >= 8, secret)
      assert.ok(!log.includes(secret), `the log holds ${secret}`)
    }
    assert.doesNotMatch(log, /\$argon2|\$2[aby]\$/, 'a password hash')
  })
})
