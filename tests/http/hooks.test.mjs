// SPDX-License-Identifier: Apache-2.0
// Hooks: functions of the app's own database, and services of its own that are called with a
// signature. The services here are the test's own, and can fail, hang or lie.
import assert from 'node:assert/strict'
import crypto from 'node:crypto'
import { before, beforeEach, describe, test } from 'node:test'
import { command, email, password, refreshed, scratch, signedUp, start } from '../lib/basalt.mjs'
import { claimsOf } from '../lib/jwt.mjs'
import { isRefusal, refused } from '../lib/refused.mjs'
import { startUpstream } from '../lib/upstream.mjs'
import { patience, timed, waitFor } from '../lib/wait.mjs'

const KEY = crypto.randomBytes(32)
const SECOND = crypto.randomBytes(32)
const PAIR = crypto.generateKeyPairSync('ed25519')
const raw = (key, part) => Buffer.from(key.export({ format: 'jwk' })[part], 'base64url')
const PUBLIC = raw(PAIR.publicKey, 'x').toString('base64')
const PRIVATE = Buffer.concat([raw(PAIR.privateKey, 'd'), raw(PAIR.publicKey, 'x')]).toString('base64')
const SECRETS = `v1,whsec_${KEY.toString('base64')}|v1,whsec_${SECOND.toString('base64')}`
  + `|v1a,whpk_${PUBLIC}:whsk_${PRIVATE}`

let server, web, sql

// As a receiver checks it by standardwebhooks.com, with each of its keys.
function signed({ headers, text }) {
  const { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': signature } = headers
  assert.match(id, /^[0-9a-f-]{36}$/)
  assert.ok(Math.abs(Date.now() / 1000 - Number(at)) < 60)
  const content = `${id}.${at}.${text}`
  const mac = (key) => `v1,${crypto.createHmac('sha256', key).update(content).digest('base64')}`
  const parts = signature.split(', ')
  assert.deepEqual(parts.slice(0, 2), [mac(KEY), mac(SECOND)])
  assert.ok(parts[2].startsWith('v1a,'))
  assert.ok(crypto.verify(null, Buffer.from(content), PAIR.publicKey, Buffer.from(parts[2].slice(4), 'base64')))
  assert.equal(headers['content-type'], 'application/json')
}

const hook = (name, uri, secrets = SECRETS) => ({
  [`hook_${name}_enabled`]: true, [`hook_${name}_uri`]: uri, [`hook_${name}_secrets`]: secrets })

// How the upstream answers by default: everybody may, claims come back as they are, and one more.
function agreeable({ json, path }) {
  if (path === '/token')
    return { json: { claims: { ...json.claims, plan: 'gold' } } }
  return { json: {} }
}

before(async () => {
  web = await startUpstream(agreeable)
  server = await start()
  sql = await server.beside({
    ...hook('custom_access_token', 'pg-functions://postgres/hooks/token'),
    ...hook('password_verification_attempt', 'pg-functions://postgres/hooks/password'),
    ...hook('before_user_created', 'pg-functions://postgres/hooks/before'),
    ...hook('after_user_created', 'pg-functions://postgres/hooks/after'),
    mailer_autoconfirm: true, pool_size: 1, anonymous_users: true,
  })
  await server.sql(`
    create schema hooks;
    grant usage on schema hooks to supabase_auth_admin;
    create table hooks.called (name text, input jsonb);
    create table hooks.mode (name text primary key, answer jsonb, raises boolean, sleeps float);
    grant all on all tables in schema hooks to supabase_auth_admin;
    create function hooks.answer(name text, input jsonb, fallback jsonb) returns jsonb language plpgsql as $$
    declare m hooks.mode;
    begin
      insert into hooks.called values (name, input);
      select * into m from hooks.mode where mode.name = answer.name;
      if m.sleeps is not null then perform pg_sleep(m.sleeps); end if;
      if m.raises then raise exception 'the hook is broken, with a secret in it'; end if;
      return case when found then m.answer else fallback end;
    end $$;
    create function hooks.token(event jsonb) returns jsonb language sql as $$
      select hooks.answer('token', event, jsonb_build_object('claims',
        event -> 'claims' || jsonb_build_object('method', event -> 'authentication_method'))) $$;
    create function hooks.password(event jsonb) returns jsonb language sql as
      $$ select hooks.answer('password', event, '{"decision":"continue"}') $$;
    create function hooks.before(event jsonb) returns jsonb language sql as $$ select hooks.answer('before', event, '{}') $$;
    create function hooks.after(event jsonb) returns jsonb language sql as $$ select hooks.answer('after', event, null) $$;`)
})

beforeEach(async () => {
  web.answer = agreeable
  web.requests.length = 0
  await server.sql('truncate hooks.called, hooks.mode')
})

const answers = (name, answer, { raises = false, sleeps = null } = {}) => server.sql(
  'insert into hooks.mode values ($1, $2, $3, $4)', [name, JSON.stringify(answer), raises, sleeps])
const called = async (name) =>
  (await server.sql('select input from hooks.called where name = $1', [name])).map((row) => row.input)
const login = (where, user, options = {}) => where.auth('POST', '/token?grant_type=password',
  { json: { email: user.email, password: options.password ?? user.password }, ...options })
const sessionsOf = async (id) =>
  (await server.sql('select id from auth.sessions where user_id = $1', [id])).length
const signup = (where, address, more = {}, version) =>
  where.auth('POST', '/signup', { json: { email: address, password, ...more }, version })

describe('a function writes the claims', () => {
  test('of logins, signups, refreshes and anonymous users; the hook is told how', async () => {
    const user = await signedUp(sql)
    assert.equal(claimsOf(user.token).method, 'password')
    const session = await login(sql, user)
    assert.equal(session.status, 200, session.text)
    const next = await refreshed(sql, session.json.refresh_token)
    assert.equal(next.status, 200, next.text)
    assert.equal(claimsOf(next.json.access_token).method, 'token_refresh')
    const nobody = await sql.auth('POST', '/signup', { json: {} })
    assert.equal(claimsOf(nobody.json.access_token).method, 'anonymous')
    for (const { access_token } of [session.json, next.json, nobody.json]) {
      const me = await sql.auth('GET', '/user', { token: access_token })
      assert.equal(me.status, 200, me.text)
    }
    const [first] = await called('token')
    assert.equal(first.user_id, user.id)
    assert.equal(first.claims.sub, user.id)
    assert.equal(first.claims.email, user.email)
    assert.equal(first.metadata.name, 'customize-access-token')
    assert.equal(first.metadata.ip_address, '127.0.0.1')
    assert.match(first.metadata.uuid, /^[0-9a-f-]{36}$/)
    assert.ok(Date.parse(first.metadata.time))
  })

  const user = {}
  const failing = async (status, code, message) => {
    const before = await sessionsOf(user.id)
    await refused((version) => login(sql, user, { version }), status, code, message)
    assert.equal(await sessionsOf(user.id), before, 'a session without tokens is taken back')
  }

  before(async () => Object.assign(user, await signedUp(server)))

  test('and may refuse, in its own words', async () => {
    await answers('token', { error: { http_code: 403, message: 'Not today' } })
    await failing(403, 'unknown', 'Not today')
    await server.sql('truncate hooks.mode')
    await answers('token', { error: { message: 'Something else' } })
    await failing(500, 'unexpected_failure', 'Something else')
    await server.sql('truncate hooks.mode')
    await answers('token', { error: { http_code: 200, message: 'No such status' } })
    await failing(500, 'unexpected_failure', 'No such status')
  })

  test('without those that every token has: no token', async () => {
    await answers('token', {})
    await failing(500, 'unexpected_failure', 'output claims field is missing')
    await server.sql('truncate hooks.mode')
    await answers('token', { claims: { aud: 'authenticated', exp: '1', iat: 1.5, sub: 7 } })
    await failing(500, 'unexpected_failure',
      /^output claims do not conform to the expected schema: \n- exp: Invalid type. Expected: integer, given: string\n- iat: Invalid type. Expected: integer, given: number\n- sub: .*\n- \(root\): email is required/)
  })

  test('raises, is slow or is not there: no token, and no session left', async () => {
    await answers('token', null, { raises: true })
    await failing(500, 'unexpected_failure', 'Error running hook URI: pg-functions://postgres/hooks/token')
    await server.sql('truncate hooks.mode')
    await answers('token', null, { sleeps: 20 })
    const { ms } = await timed(() => failing(422, 'hook_timeout'))
    assert.ok(ms < 2 * 3000 * patience, `${ms} ms`)
    await server.sql('truncate hooks.mode')
    await server.sql('revoke usage on schema hooks from supabase_auth_admin')
    await failing(500, 'unexpected_failure')
    await server.sql('grant usage on schema hooks to supabase_auth_admin')
  })

  test('a refresh that a hook broke off is repeated with the same token', async () => {
    const session = (await login(sql, user)).json
    await answers('token', null, { raises: true })
    await refused((version) => sql.auth('POST', '/token?grant_type=refresh_token',
      { json: { refresh_token: session.refresh_token }, version }), 500, 'unexpected_failure')
    await server.sql('truncate hooks.mode')
    const next = await refreshed(sql, session.refresh_token)
    assert.equal(next.status, 200, next.text)
  })

  test('also where refresh tokens are counted and not kept', async () => {
    const counted = await server.beside({ refresh_token_version: 2,
      ...hook('custom_access_token', 'pg-functions://postgres/hooks/token') })
    const session = (await login(counted, user)).json
    await answers('token', null, { raises: true })
    const broken = await counted.auth('POST', '/token?grant_type=refresh_token',
      { json: { refresh_token: session.refresh_token } })
    assert.equal(broken.status, 500, broken.text)
    await server.sql('truncate hooks.mode')
    const next = await refreshed(counted, session.refresh_token)
    assert.equal(next.status, 200, next.text)
    assert.equal(claimsOf(next.json.access_token).method, 'token_refresh')
    assert.equal((await refreshed(counted, next.json.refresh_token)).status, 200)
  })

  test('a token of any length is none', async () => {
    await server.sql(`create or replace function hooks.token(event jsonb) returns jsonb language sql as $$
      select jsonb_build_object('claims', event -> 'claims' || jsonb_build_object('x', repeat('x', 20000))) $$`)
    await failing(500, 'unexpected_failure')
    await server.sql(`create or replace function hooks.token(event jsonb) returns jsonb language sql as $$
      select hooks.answer('token', event, jsonb_build_object('claims',
        event -> 'claims' || jsonb_build_object('method', event -> 'authentication_method'))) $$`)
  })
})

describe('a function hears of passwords', () => {
  test('right and wrong ones; not of users that there are not', async () => {
    const user = await signedUp(server)
    await login(sql, user)
    await login(sql, user, { password: 'wrong-password' })
    await login(sql, { email: email(), password })
    assert.deepEqual((await called('password')).map(({ user_id, valid }) => [user_id, valid]),
      [[user.id, true], [user.id, false]])
  })

  test('and may refuse a right one, and end all sessions', async () => {
    const user = await signedUp(server)
    await answers('password', { decision: 'reject' })
    await refused((version) => login(sql, user, { version }), 400, 'invalid_credentials',
      'Further password verification attempts will be rejected.')
    assert.equal(await sessionsOf(user.id), 1)
    await server.sql('truncate hooks.mode')
    await answers('password', { decision: 'reject', message: 'Call us', should_logout_user: true })
    await refused((version) => login(sql, user, { version }), 400, 'invalid_credentials', 'Call us')
    assert.equal(await sessionsOf(user.id), 0)
    assert.equal((await sql.auth('GET', '/user', { token: user.token })).json.code, 'session_not_found')
  })
})

describe('an answer that cannot be read', () => {
  test('is no consent', async () => {
    const user = await signedUp(server)
    for (const answer of [[], 'continue', 7, { decision: ['continue'] }, { should_logout_user: 'yes' },
      { error: 'no' }, { error: { message: 7 } }, { error: { message: 'x', http_code: '403' } }]) {
      await server.sql('truncate hooks.mode')
      await answers('password', answer)
      await refused((version) => login(sql, user, { version }), 500, 'unexpected_failure',
        'Error unmarshaling JSON output.')
    }
    assert.equal(await sessionsOf(user.id), 1)
  })

  test('an error without words is none; neither is null', async () => {
    const user = await signedUp(server)
    for (const answer of [null, {}, { error: null }, { error: {} }, { error: { http_code: 500, message: '' } }]) {
      await server.sql('truncate hooks.mode')
      await answers('password', answer)
      assert.equal((await login(sql, user)).status, 200)
    }
  })
})

describe('functions around new users', () => {
  test('before: sees the user to be, and may refuse', async () => {
    const address = email()
    const up = await signup(sql, address, { data: { colour: 'red' } })
    assert.equal(up.status, 200, up.text)
    const [input] = await called('before')
    assert.equal(input.user.id, up.json.user.id)
    assert.equal(input.user.email, address)
    assert.equal(input.user.user_metadata.colour, 'red')
    assert.deepEqual(input.user.app_metadata, { provider: 'email', providers: ['email'] })
    assert.deepEqual(await called('after'), [], 'confirmed at once, with a password: not told')

    const other = email()
    await answers('before', { error: { http_code: 422, message: 'Only our own people' } })
    await refused((version) => signup(sql, other, {}, version), 422, 'unknown', 'Only our own people')
    assert.deepEqual(await server.sql('select 1 from auth.users where email = $1', [other]), [])
  })

  test('neither is told of users that administrators make', async () => {
    const made = await sql.service('POST', '/admin/users', { json: { email: email(), password } })
    assert.equal(made.status, 200, made.text)
    assert.deepEqual([await called('before'), await called('after')], [[], []])
  })

  test('after: the user is there, whatever it says', async () => {
    const up = await sql.auth('POST', '/signup', { json: { data: { n: 1 } } })
    const [input] = await called('after')
    assert.equal(input.user.id, up.json.user.id)
    assert.equal(input.metadata.name, 'after-user-created')
    await server.sql('truncate hooks.called')
    await answers('after', { error: { message: 'Too late' } })
    await refused((version) => sql.auth('POST', '/signup', { json: {}, version }), 500, 'unexpected_failure', 'Too late')
    for (const { user } of await called('after'))
      assert.equal((await server.sql('select 1 from auth.users where id = $1', [user.id])).length, 1)
  })
})

describe('a service', () => {
  let over, user

  before(async () => {
    over = await server.beside({
      ...hook('custom_access_token', `${web.url}/token`),
      ...hook('before_user_created', `${web.url}/before`),
      ...hook('after_user_created', `${web.url}/after`),
      ...hook('password_verification_attempt', `${web.url}/password`),
      mailer_autoconfirm: true, pool_size: 1,
    })
    user = await signedUp(server)
  })

  // Breakers are closed by the first call that is answered.
  async function recovered() {
    web.answer = agreeable
    await waitFor('a login', async () => (await login(over, user)).status === 200, 40_000, 100)
  }

  test('is called with signatures that it can check', async () => {
    const up = await signup(over, email())
    assert.equal(up.status, 200, up.text)
    assert.equal(claimsOf(up.json.access_token).plan, 'gold')
    assert.equal((await over.auth('GET', '/user', { token: up.json.access_token })).status, 200)
    const session = await login(over, user)
    assert.equal(session.status, 200, session.text)
    assert.deepEqual(web.requests.map((r) => r.path), ['/before', '/token', '/password', '/token'])
    web.requests.forEach(signed)
    assert.equal(new Set(web.requests.map((r) => r.headers['webhook-id'])).size, 4)
  })

  test('that thinks long holds no connection of the pool', async () => {
    let go
    const released = new Promise((resolve) => (go = resolve))
    web.answer = async (request) => { await released; return agreeable(request) }
    const waiting = login(over, user)
    await waitFor('the call', () => web.requests.length > 0)
    const { value, ms } = await timed(() => over.service('GET', '/admin/users?per_page=1'))
    assert.equal(value.status, 200)
    assert.ok(ms < 1000 * patience, `${ms} ms`)
    go()
    assert.equal((await waiting).status, 200)
  })

  test('a password changed while the hook thinks: no session', async () => {
    let go
    const released = new Promise((resolve) => (go = resolve))
    const moved = await signedUp(server)
    web.answer = async (request) => {
      if (request.path === '/password' && web.requests.length === 1) await released
      return agreeable(request)
    }
    const waiting = login(over, moved)
    await waitFor('the call', () => web.requests.length > 0)
    const changed = await server.service('PUT', `/admin/users/${moved.id}`, { json: { password: 'Another-horse-8' } })
    assert.equal(changed.status, 200, changed.text)
    go()
    assert.equal((await waiting).json.code, 'invalid_credentials')
    assert.equal(await sessionsOf(moved.id), 0)
  })

  const failures = [
    ['refuses', () => ({ json: { error: { http_code: 429, message: 'Slow down' } } }), 429, 'unknown', 'Slow down', 1],
    ['says nothing in 204', () => ({ status: 204 }), 500, 'unexpected_failure', 'output claims field is missing', 1],
    ['answers no JSON', () => ({ text: 'hello', headers: { 'content-type': 'text/plain' } }), 400,
      'hook_payload_invalid_content_type', 'Invalid JSON response. Received content-type: text/plain', 1],
    ['does not say what it answers', () => ({ text: '{}' }), 400, 'hook_payload_invalid_content_type',
      'Invalid Content-Type: Missing Content-Type header', 1],
    ['lies about JSON', () => ({ text: '{"claims":', headers: { 'content-type': 'application/json' } }), 500,
      'unexpected_failure', 'Error unmarshaling JSON output.', 1],
    ['says too much', () => ({ json: { claims: { x: 'x'.repeat(300_000) } } }), 422,
      'hook_payload_over_size_limit', 'Payload size exceeded size limit of 204800 bytes', 1],
    ['has an error', () => ({ status: 500 }), 500, 'unexpected_failure', 'Unexpected status code returned from hook: 500', 1],
    ['does not like us', () => ({ status: 401 }), 500, 'unexpected_failure', 'Hook requires authorization token', 1],
    ['does not like what we say', () => ({ status: 400 }), 500, 'unexpected_failure', 'Invalid payload sent to hook', 1],
    ['sends us elsewhere', () => ({ status: 302, headers: { location: `${web.url}/token` } }), 500,
      'unexpected_failure', 'Unexpected status code returned from hook: 302', 1],
    ['is busy', () => ({ status: 503 }), 500, 'unexpected_failure', 'Service currently unavailable due to hook', 1],
    ['is busy, and says until when', () => ({ status: 503, headers: { 'retry-after': 'true' } }), 500,
      'unexpected_failure', 'Service currently unavailable due to hook', 3],
  ]

  for (const [what, answer, status, code, message, tries] of failures)
    test(`${what}: no token`, async () => {
      const before = await sessionsOf(user.id)
      for (const version of [null, '2024-01-01']) {
        web.requests.length = 0
        web.answer = (request) => (request.path === '/token' ? answer() : agreeable(request))
        isRefusal(await login(over, user, { version }), { status, code, message, version })
        assert.equal(web.requests.filter((r) => r.path === '/token').length, tries)
        await recovered()
      }
      assert.equal(await sessionsOf(user.id), before + 2, 'only the two that succeeded')
    })

  test('is busy once: is asked again, under the same id', async () => {
    let times = 0
    web.answer = (request) => (request.path === '/token' && times++ === 0
      ? { status: 429, headers: { 'retry-after': '1' } } : agreeable(request))
    const { value, ms } = await timed(() => login(over, user))
    assert.equal(value.status, 200, value.text)
    assert.ok(ms < 1500 * patience, `${ms} ms`)
    const asked = web.requests.filter((r) => r.path === '/token')
    assert.equal(asked.length, 2)
    assert.equal(asked[0].headers['webhook-id'], asked[1].headers['webhook-id'])
  })

  test('breaks off: is tried three times', async () => {
    web.answer = (request) => (request.path === '/token' ? 'drop' : agreeable(request))
    const { value, ms } = await timed(() => login(over, user))
    assert.equal(value.status, 422, value.text)
    assert.equal(value.json.code, 'hook_timeout_after_retry')
    assert.equal(value.json.message, 'Failed to reach hook after maximum retries')
    assert.ok(ms >= 3900 && ms < 6000 * patience, `${ms} ms`)
    // the first on a kept connection, whose end may mean no more than its age: once more at once
    assert.ok([3, 4].includes(web.requests.filter((r) => r.path === '/token').length))
    await refused((version) => login(over, user, { version }), 422, 'hook_timeout_after_retry')
    await recovered()
  })

  test('hangs: five seconds', async () => {
    web.answer = (request) => (request.path === '/token' ? 'hang' : agreeable(request))
    const answers = await timed(() => Promise.all([null, '2024-01-01'].map((version) => login(over, user, { version }))))
    answers.value.forEach((got, i) => isRefusal(got, { status: 422, code: 'hook_timeout',
      version: [null, '2024-01-01'][i] }))
    assert.ok(answers.ms >= 4900 && answers.ms < 7000 * patience, `${answers.ms} ms`)
    await recovered()
  })

  test('hangs until the client leaves: no session stays', async () => {
    const before = await sessionsOf(user.id)
    web.answer = (request) => (request.path === '/token' ? 'hang' : agreeable(request))
    const gone = new AbortController()
    const left = over.call('/auth/v1/token?grant_type=password', { method: 'POST', signal: gone.signal,
      json: { email: user.email, password: user.password }, headers: { apikey: server.keys.anon } })
    await waitFor('the call', () => web.requests.some((r) => r.path === '/token'))
    assert.equal(await sessionsOf(user.id), before + 1)
    gone.abort()
    await assert.rejects(left)
    await waitFor('its end', async () => await sessionsOf(user.id) === before)
    await recovered()
  })

  test('no secret is in the log', () => {
    for (const secret of [KEY, SECOND]) assert.ok(!over.log().includes(secret.toString('base64')))
    assert.ok(!over.log().includes(PRIVATE))
  })
})

describe('a hook that sends mails', () => {
  let mailing, user

  before(async () => {
    mailing = await server.beside({ ...hook('send_email', `${web.url}/mail`), smtp_retry: '100ms',
      ...hook('custom_access_token', `${web.url}/token`),
      mailer_autoconfirm: false, smtp_max_frequency: '0' })
    user = await signedUp(server)
  })

  const mails = () => web.requests.filter((r) => r.path === '/mail').map((r) => r.json)
  const heard = (n = 1) => waitFor(`${n} mails`, () => mails().length >= n && mails(), 40_000)
  const stateOf = async (id) =>
    (await server.sql('select state from basalt.mail_state where user_id = $1 order by created_at', [id])).map((r) => r.state)

  test('hears of the user and the code', async () => {
    const asked = await mailing.auth('GET', '/reauthenticate', { token: user.token })
    assert.equal(asked.status, 200, asked.text)
    const [mail] = await heard()
    assert.equal(mail.metadata.name, 'send-email')
    assert.deepEqual([mail.user.id, mail.user.email], [user.id, user.email])
    assert.equal(mail.email_data.email_action_type, 'reauthentication')
    assert.match(mail.email_data.token, /^\d{6}$/)
    signed(web.requests[0])
    await waitFor('sent', async () => (await stateOf(user.id)).join() === 'sent')
  })

  test('hears once of a change of address that both confirm, the pairs crossed', async () => {
    const ask = async (from, next) => {
      web.requests.length = 0
      const asked = await mailing.auth('PUT', '/user', { token: user.token, json: { email: next } })
      assert.equal(asked.status, 200, asked.text)
      const [{ user: told, email_data: data }] = await heard()
      assert.equal(data.email_action_type, 'email_change')
      assert.deepEqual([told.email, told.new_email], [from, next])
      return data
    }
    const verify = async (json) => {
      const verified = await mailing.auth('POST', '/verify', { json: { type: 'email_change', ...json } })
      assert.equal(verified.status, 200, verified.text)
    }
    const address = async () => (await server.sql('select email from auth.users where id = $1', [user.id]))[0].email
    const [second, third] = [email('second'), email('third')]
    const codes = await ask(user.email, second)
    await waitFor('sent', async () => (await stateOf(user.id)).every((state) => state === 'sent'))
    assert.equal(mails().length, 1)
    await verify({ email: user.email, token: codes.token })
    await verify({ email: second, token: codes.token_new })
    assert.equal(await address(), second)
    const links = await ask(second, third)
    await verify({ token_hash: links.token_hash_new })
    await verify({ token_hash: links.token_hash })
    assert.equal(await address(), third)
  })

  test('sends what signs in: there too a hook writes the claims', async () => {
    const plain = await signedUp(server)
    await mailing.auth('POST', '/recover', { json: { email: plain.email } })
    const [{ email_data: data }] = await heard()
    assert.equal(data.email_action_type, 'recovery')
    const verified = await mailing.auth('POST', '/verify',
      { json: { type: 'recovery', token_hash: data.token_hash } })
    assert.equal(claimsOf(verified.json.access_token).plan, 'gold', verified.text)

    web.requests.length = 0
    const verifier = crypto.randomBytes(32).toString('base64url')
    await mailing.auth('POST', '/recover', { json: { email: plain.email, code_challenge_method: 's256',
      code_challenge: crypto.createHash('sha256').update(verifier).digest('base64url') } })
    const [{ email_data: linked }] = await heard()
    const link = await mailing.call(
      `/auth/v1/verify?type=recovery&token=${linked.token_hash}`, { headers: { accept: '*/*' } })
    const code = new URL(link.headers.location).searchParams.get('code')
    const exchanged = await mailing.auth('POST', '/token?grant_type=pkce',
      { json: { auth_code: code, code_verifier: verifier } })
    assert.equal(claimsOf(exchanged.json.access_token).plan, 'gold', exchanged.text)
  })

  test('is asked again while it fails', async () => {
    let times = 0
    web.answer = () => (times++ < 2 ? { status: 500 } : { json: {} })
    const other = await signedUp(server)
    await mailing.auth('GET', '/reauthenticate', { token: other.token })
    const all = await heard(3)
    assert.equal(new Set(all.map((m) => m.email_data.token)).size, 1)
    await waitFor('sent', async () => (await stateOf(other.id)).join() === 'sent')
  })

  test('may refuse for good', async () => {
    web.answer = { json: { error: { http_code: 422, message: 'No such mailbox' } } }
    const other = await signedUp(server)
    await mailing.auth('GET', '/reauthenticate', { token: other.token })
    await waitFor('given up', async () => (await stateOf(other.id)).join() === 'failed')
    assert.equal(mails().length, 1)
  })

  test('may be a function', async () => {
    await server.sql(`create function hooks.mail(event jsonb) returns jsonb language sql as
      $$ select hooks.answer('mail', event, '{}') $$`)
    await mailing.stop()
    const other = await signedUp(server)
    const by = await server.beside({ ...hook('send_email', 'pg-functions://postgres/hooks/mail') })
    await by.auth('GET', '/reauthenticate', { token: other.token })
    await waitFor('the call', async () => (await called('mail')).length === 1)
    assert.equal((await called('mail'))[0].user.id, other.id)
  })
})

describe('settings that cannot be', () => {
  const bad = [
    ['no address', undefined, SECRETS],
    ['http to elsewhere', 'http://example.com/hook', SECRETS],
    ['no secrets', 'https://example.com/hook', ''],
    ['a short secret', 'https://example.com/hook', 'v1,whsec_c2hvcnQ='],
    ['a secret of another kind', 'https://example.com/hook', 'whsec_' + KEY.toString('base64')],
    ['half a pair', 'https://example.com/hook', `v1a,whpk_${PUBLIC}`],
    ['a function without schema', 'pg-functions://postgres/token', SECRETS],
    ['another scheme', 'ftp://example.com', SECRETS],
  ]
  for (const [what, uri, secrets] of bad)
    test(`${what}: the server does not start, and names the setting`, async () => {
      const settings = { listen: '127.0.0.1:0', admin_listen: 'off', database_url: server.db,
        ...hook('custom_access_token', uri, secrets) }
      for (const name of Object.keys(settings)) if (!settings[name]) delete settings[name]
      const { code, stderr } = await command(['serve'], { data: `${scratch()}/data`, settings })
      assert.notEqual(code, 0)
      assert.match(stderr, /hook_custom_access_token/)
      assert.ok(!stderr.includes(KEY.toString('base64')))
    })
})
