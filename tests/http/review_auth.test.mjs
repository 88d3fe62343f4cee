// SPDX-License-Identifier: Apache-2.0
// What a hostile reading of accounts and the gateway found, each finding kept as a test: refresh rules
// after a leak, bans that SQL writes, sessions of administrators, races with deletion, values that
// PostgreSQL writes longer than they came, and bytes that are no text.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { before, describe, test } from 'node:test'
import {
  countUsers, email, loggedIn, password, refreshed, signedUp, start,
} from '../lib/basalt.mjs'
import { claimsOf, sign } from '../lib/jwt.mjs'
import { exchange } from '../lib/http.mjs'
import { mapAtOnce, waitFor } from '../lib/wait.mjs'

const nil = '00000000-0000-0000-0000-000000000000'
const soon = () => Math.floor(Date.now() / 1000) + 600
let server

before(async () => {
  server = await start()
})

const user = (token, headers) => server.auth('GET', '/user', { token, headers })
const login = (address, secret = password) => server.auth('POST', '/token?grant_type=password', {
  json: { email: address, password: secret },
})

function is(answer, status, code) {
  assert.equal(answer.status, status, answer.text)
  assert.equal(answer.json.code, code, answer.text)
}

// A row as SQL would write it: columns are SQL text.
async function inserted(columns) {
  const row = {
    instance_id: `'${nil}'`, id: 'gen_random_uuid()', aud: '\'authenticated\'',
    role: '\'authenticated\'', encrypted_password: '\'\'', email_confirmed_at: 'now()',
    created_at: 'now()', updated_at: 'now()', ...columns,
  }
  const [{ id }] = await server.sql(`insert into auth.users (${Object.keys(row).join(', ')})
    values (${Object.values(row).join(', ')}) returning id`)
  return id
}

// The hash of `password`, for rows that SQL writes.
async function storedHash() {
  const made = await signedUp(server)
  const [{ encrypted_password: hash }] = await server.sql(
    'select encrypted_password from auth.users where id = $1', [made.id])
  return hash
}

async function asAdmin(work) {
  const { session } = await import('../lib/sql.mjs')
  const admin = await session(server.urlAs('supabase_admin', 'DB_ADMIN_PASSWORD'))
  try {
    return await work(admin)
  } finally {
    await admin.close()
  }
}

describe('refresh', () => {
  test('tokens revoked because one had leaked stay so inside the reuse interval', async () => {
    const someone = await signedUp(server)
    const second = (await refreshed(server, someone.refresh)).json.refresh_token
    const third = (await refreshed(server, second)).json.refresh_token
    await server.sql(`update auth.refresh_tokens set updated_at = now() - interval '1 minute'
      where revoked and user_id = $1`, [someone.id])
    is(await refreshed(server, someone.refresh), 400, 'refresh_token_already_used')
    is(await refreshed(server, third), 400, 'refresh_token_already_used')
    is(await refreshed(server, second), 400, 'refresh_token_already_used')
    assert.deepEqual(await server.sql(
      'select token from auth.refresh_tokens where user_id = $1 and not revoked', [someone.id]), [])
  })

  test('a token whose revoked is null is spent like any other', async () => {
    const someone = await signedUp(server)
    await server.sql('update auth.refresh_tokens set revoked = null where token = $1',
      [someone.refresh])
    assert.equal((await refreshed(server, someone.refresh)).status, 200)
    assert.equal((await refreshed(server, someone.refresh)).status, 200)
    const living = await server.sql(
      'select token from auth.refresh_tokens where user_id = $1 and revoked is not true', [someone.id])
    assert.equal(living.length, 1)
  })

  test('a token without a session', async () => {
    const someone = await signedUp(server)
    await server.sql(`insert into auth.refresh_tokens (instance_id, token, user_id, revoked, created_at,
      updated_at) values ('${nil}', 'nosessionaaa', $1, false, now(), now())`, [someone.id])
    is(await refreshed(server, 'nosessionaaa'), 400, 'session_not_found')
  })

  test('an app gets the profile\'s role at refresh as at login', async () => {
    const address = email()
    const made = await server.app('POST', '/auth/register',
      { json: { email: address, password, role: 'Brand', name: 'N' } })
    const answer = await server.app('POST', '/auth/refresh',
      { json: { refresh_token: made.json.refresh_token } })
    assert.equal(answer.json.user.role, 'Brand')
    assert.equal(answer.json.user.name, 'N')
  })
})

describe('tokens', () => {
  test('a session_id that is no UUID does not pass for none', async () => {
    const { id } = await signedUp(server)
    const token = sign({ sub: id, aud: 'authenticated', session_id: 'x', exp: soon() },
      server.jwtSecret)
    is(await user(token), 403, 'bad_jwt')
  })

  test('a deleted user\'s token without a session is refused', async () => {
    const { id } = await signedUp(server)
    const token = sign({ sub: id, aud: 'authenticated', exp: soon() }, server.jwtSecret)
    assert.equal((await user(token)).status, 200)
    await server.service('DELETE', `/admin/users/${id}`, { json: { should_soft_delete: true } })
    is(await user(token), 403, 'user_not_found')
  })

  test('an administrator who is a user administers until their session ends', async () => {
    const address = email()
    await server.service('POST', '/admin/users',
      { json: { email: address, password, role: 'service_role', email_confirm: true } })
    const { token } = await loggedIn(server, { email: address, password })
    assert.equal((await server.auth('GET', '/admin/users?per_page=1', { token })).status, 200)
    assert.equal((await server.auth('POST', '/logout', { token })).status, 204)
    is(await server.auth('GET', '/admin/users?per_page=1', { token }), 403, 'session_expired')
  })

  test('audiences: X-JWT-AUD, else the token\'s own', async () => {
    const address = email()
    const headers = { 'x-jwt-aud': 'elsewhere' }
    const made = await server.auth('POST', '/signup', { json: { email: address, password }, headers })
    const token = made.json.access_token
    assert.equal(claimsOf(token).aud, 'elsewhere')
    assert.equal(claimsOf(token).role, 'authenticated')
    is(await login(address), 400, 'invalid_credentials')
    assert.equal((await user(token)).status, 200)
    is(await user(token, { 'x-jwt-aud': 'authenticated' }), 400, 'validation_failed')
  })
})

describe('bans', () => {
  for (const until of ['infinity', '20000-01-01'])
    test(`until ${until}, as SQL may write it`, async () => {
      const someone = await signedUp(server)
      assert.equal((await user(someone.token)).status, 200)
      await server.sql('update auth.users set banned_until = $2 where id = $1', [someone.id, until])
      await waitFor('the ban', async () => (await user(someone.token)).status === 403)
      is(await user(someone.token), 403, 'user_banned')
      is(await refreshed(server, someone.refresh), 400, 'user_banned')
      is(await login(someone.email), 400, 'user_banned')
      await server.sql('update auth.users set banned_until = $2 where id = $1',
        [someone.id, '-infinity'])
      await waitFor('its end', async () => (await user(someone.token)).status === 200)
    })

  test('soft deletion leaves no session, whatever logs in meanwhile', async () => {
    for (let round = 0; round < 8; round++) {
      const someone = await signedUp(server)
      const logins = mapAtOnce([1, 2, 3, 4], 4, () => login(someone.email))
      await waitFor('a first login', async () => (await server.sql(
        'select id from auth.sessions where user_id = $1', [someone.id])).length > 1)
      const gone = await server.service('DELETE', `/admin/users/${someone.id}`,
        { json: { should_soft_delete: true } })
      assert.equal(gone.status, 200, gone.text)
      await logins
      assert.deepEqual(await server.sql('select id from auth.sessions where user_id = $1',
        [someone.id]), [])
    }
  })
})

describe('users that SQL made', () => {
  test('an address is taken in any letter case', async () => {
    const address = email('mixed')
    const id = await inserted({ email: `'${address.replace('mixed', 'Mixed')}'` })
    is(await server.auth('POST', '/signup', { json: { email: address, password } }), 422,
      'user_already_exists')
    is(await server.service('POST', '/admin/users', { json: { email: address } }), 422, 'email_exists')
    const other = await signedUp(server)
    assert.equal((await server.service('PUT', `/admin/users/${other.id}`,
      { json: { email: address } })).status, 500)
    assert.equal((await server.service('PUT', `/admin/users/${id}`,
      { json: { email: address } })).status, 200, 'one\'s own address may change its case')
  })

  test('a stored hash of unknown form answers and costs what a wrong password does', async () => {
    const address = email()
    await inserted({ email: `'${address}'`, encrypted_password: '\'$fbscrypt$v=1,n=14$x$y\'' })
    const answer = await login(address)
    is(answer, 400, 'invalid_credentials')
    const spent = Number(/hash;dur=([\d.]+)/.exec(answer.headers['server-timing'])?.[1])
    assert.ok(spent > 1, answer.headers['server-timing'])
    await waitFor('the warning', () => server.events('password_hash_unknown').length > 0)
  })

  test('a confirmed number does not confirm the address', async () => {
    const address = email()
    await inserted({ email: `'${address}'`, encrypted_password: `'${await storedHash()}'`,
      email_confirmed_at: 'null', phone_confirmed_at: 'now()', phone: '\'4915100000001\'' })
    is(await login(address), 400, 'email_not_confirmed')
  })

  test('metadata that is no object does not keep an administrator from setting it', async () => {
    const id = await inserted({ email: `'${email()}'`, raw_user_meta_data: '\'[1]\'',
      raw_app_meta_data: '\'null\'' })
    const answer = await server.service('PUT', `/admin/users/${id}`,
      { json: { user_metadata: { a: 1 } } })
    assert.equal(answer.status, 200, answer.text)
    assert.deepEqual(answer.json.user_metadata, { a: 1 })
  })
})

describe('what a client sends', () => {
  test('a User-Agent of any bytes', async () => {
    const someone = await signedUp(server)
    const body = JSON.stringify({ email: someone.email, password })
    for (const agent of [Buffer.from([0x63, 0xe9, 0xff]), Buffer.from(`a${'é'.repeat(400)}`)]) {
      const head = `POST /auth/v1/token?grant_type=password HTTP/1.1\r\nHost: a\r\n`
        + `apikey: ${server.keys.anon}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n`
      const [answer] = await exchange(server.api,
        Buffer.concat([Buffer.from(`${head}User-Agent: `), agent, Buffer.from(`\r\n\r\n${body}`)]))
      assert.equal(answer.status, 200, answer.text)
    }
  })

  test('numbers that PostgreSQL would write out are measured as it writes them', async () => {
    for (const data of [`[${Array(100).fill('1e308').join()}]`, '1e-99999', '1E+9999']) {
      const address = email()
      const answer = await server.auth('POST', '/signup',
        { body: `{"email":"${address}","password":"${password}","data":{"n":${data}}}` })
      assert.ok(answer.status === 422 || answer.status === 400, answer.text)
      assert.equal(await countUsers(server, address), 0)
    }
    const { id } = await signedUp(server)
    const answer = await server.service('PUT', `/admin/users/${id}`,
      { body: `{"user_metadata":{"n":[${Array(100).fill('1e308').join()}]}}` })
    assert.equal(answer.status, 422, answer.text)
    const kept = await server.service('GET', `/admin/users/${id}`)
    assert.equal('n' in kept.json.user_metadata, false)
  })

  test('app routes: null in an unknown field, exponents, fractions beyond the bound', async () => {
    for (const [field, value] of [['is_admin', 'null'], ['annual_income', '1.0e300'],
      ['annual_income', '10000000.5'], ['annual_income', '1e3']]) {
      const answer = await server.app('POST', '/auth/register',
        { body: `{"email":"${email()}","password":"${password}","${field}":${value}}` })
      assert.equal(answer.status, 422, answer.text)
      assert.match(answer.json.message, new RegExp(field))
    }
  })

  test('a long password made elsewhere logs in by the app\'s door', async () => {
    const someone = await signedUp(server, { password: 'x'.repeat(300) })
    const answer = await server.app('POST', '/auth/login',
      { json: { email: someone.email, password: someone.password } })
    assert.equal(answer.status, 200, answer.text)
  })

  test('update of a user who is not there, with an address: 404', async () => {
    is(await server.service('PUT', '/admin/users/11111111-2222-4333-8444-555555555555',
      { json: { email: email() } }), 404, 'user_not_found')
  })
})

describe('an app\'s own database', () => {
  test('a trigger that bans newcomers: a user, no session, no error', async () => {
    await asAdmin(async ({ rows }) => {
      await rows(`create function public.review_ban() returns trigger language plpgsql as $$ begin
        new.banned_until := now() + interval '1 day'; return new; end $$`)
      await rows(`create trigger review_ban before insert on auth.users
        for each row execute function public.review_ban()`)
      try {
        const address = email()
        const answer = await server.auth('POST', '/signup', { json: { email: address, password } })
        assert.equal(answer.status, 200, answer.text)
        assert.equal(answer.json.email, address)
        assert.equal('access_token' in answer.json, false)
        const other = await server.app('POST', '/auth/register',
          { json: { email: email(), password } })
        assert.equal(other.status, 201, other.text)
        assert.equal('access_token' in other.json, false)
      } finally {
        await rows('drop trigger review_ban on auth.users')
        await rows('drop function public.review_ban()')
      }
    })
  })

  test('a row that refers to the user and does not go with them', async () => {
    const { id } = await signedUp(server)
    await server.sql('create table public.review_things (owner uuid references auth.users (id))')
    try {
      await server.sql('insert into public.review_things values ($1)', [id])
      const answer = await server.service('DELETE', `/admin/users/${id}`)
      is(answer, 500, 'unexpected_failure')
      assert.equal(answer.json.message, 'Database error deleting user')
      const line = await server.logged(answer.headers['x-request-id'])
      assert.match(line.detail, /review_things_owner_fkey/)
    } finally {
      await server.sql('drop table public.review_things')
    }
  })
})

describe('the command line', () => {
  test('a password is taken whole or not at all', async () => {
    const address = email()
    const long = 'p'.repeat(2000)
    const made = await server.command(['user', 'create', address, '--confirmed'], { input: `${long}\n` })
    assert.equal(made.code, 0, made.stderr)
    assert.equal((await login(address, long)).status, 200)
    assert.equal((await login(address, long.slice(0, 1023))).status, 400)
    for (const input of ['abc\0defghi\n', `${'p'.repeat(4097)}\n`, Buffer.from([0x61, 0xff, 0x62]), '']) {
      const refused = await server.command(['user', 'create', email()], { input })
      assert.equal(refused.code, 2, refused.stderr)
    }
  })

  test('words too many are refused, and nobody is made', async () => {
    const address = email()
    const { code } = await server.command(['user', 'create', address, 'more', 'words'],
      { input: password })
    assert.equal(code, 2)
    assert.equal(await countUsers(server, address), 0)
  })

  test('new keys stay readable for the server', async () => {
    const file = path.join(server.data, 'secrets.env')
    const owner = () => fs.statSync(file).uid
    const was = owner()
    const renewed = await server.command(['key', 'renew'])
    assert.equal(renewed.code, 0, renewed.stderr)
    assert.equal(owner(), was)
  })
})

describe('settings', () => {
  let strict

  test('profile fields that no client may ever write', async () => {
    for (const field of ['id', 'email', 'password']) {
      const { code, stderr } = await server.command(['status'],
        { settings: { profile_fields: `name, ${field}` } })
      assert.equal(code, 2)
      assert.match(stderr, new RegExp(`profile_fields must not list ${field}`))
    }
  })

  before(async () => {
    strict = await start({ settings: { mailer_autoconfirm: false, smtp_max_frequency: '0' },
      env: { GOTRUE_PASSWORD_MIN_LENGTH: '12', GOTRUE_JWT_AUD: 'apps' } })
  })

  test('app routes ask for the configured length too', async () => {
    const register = (secret) => strict.app('POST', '/auth/register',
      { json: { email: email(), password: secret } })
    assert.equal((await register('eleven-long')).status, 422)
    assert.equal((await register('twelve-long!')).status, 201)
  })

  test('the audience is not the database role', async () => {
    const answer = await strict.auth('POST', '/signup', { json: { email: email(), password } })
    assert.equal(answer.json.aud, 'apps')
    assert.equal(answer.json.role, 'authenticated')
  })

  test('a repeated signup: a look-alike in every audience, an audit row, no invitation\'s contents',
    async () => {
      const address = email()
      const first = await strict.auth('POST', '/signup', { json: { email: address, password } })
      const { id } = first.json
      await strict.service('PUT', `/admin/users/${id}`, { json: { email_confirm: true } })
      const again = (headers) => strict.auth('POST', '/signup',
        { json: { email: address, password: 'another-password' }, headers })
      for (const headers of [{}, { 'x-jwt-aud': 'elsewhere' }]) {
        const answer = await again(headers)
        assert.equal(answer.status, 200, answer.text)
        assert.notEqual(answer.json.id, id)
        assert.deepEqual(answer.json.identities, [])
      }
      const audit = await strict.sql(`select payload ->> 'action' as action
        from auth.audit_log_entries where payload ->> 'actor_id' = $1 order by created_at`, [id])
      assert.equal(audit.at(-1).action, 'user_repeated_signup')

      const invited = await strict.service('POST', '/admin/users',
        { json: { email: email(), user_metadata: { note: 'private' } } })
      await strict.sql('update auth.users set invited_at = now() where id = $1', [invited.json.id])
      const stranger = await strict.auth('POST', '/signup',
        { json: { email: invited.json.email, password } })
      assert.deepEqual(stranger.json.user_metadata, {})
      assert.deepEqual(stranger.json.identities, [])
    })
})
