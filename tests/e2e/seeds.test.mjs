// SPDX-License-Identifier: Apache-2.0
// The seed documents on one empty project: their own curl bodies, routes, SQL and answers, an
// address per document.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { countUsers, email, password, refreshed, start } from '../lib/basalt.mjs'
import { claimsOf } from '../lib/jwt.mjs'

const run = promisify(execFile)
let server

before(async () => {
  server = await start()
})

// The documents' `curl -X POST URL -H "Content-Type: application/json" -d BODY`, as typed.
async function curl(target, body) {
  const { stdout } = await run('curl', ['-sS', '-X', 'POST', server.api + target,
    '-H', 'Content-Type: application/json', '-d', body, '-w', '\n%{http_code}'])
  const cut = stdout.lastIndexOf('\n')
  return { status: Number(stdout.slice(cut + 1)), json: JSON.parse(stdout.slice(0, cut)) }
}

const profileColumns = ['name', 'role', 'onboarding_completed', 'full_name', 'avatar_url', 'country',
  'annual_income', 'timezone', 'created_at', 'updated_at']

describe('seed 002: atomic signup', () => {
  const address = 'test@example.com'
  const body =
    `{"name":"Test User","email":"${address}","password":"StrongPass123$","role":"Creator"}`
  let id

  test('signup answers 200 with the user\'s id', async () => {
    const answer = await curl('/api/auth/signup', body)
    assert.equal(answer.status, 200, JSON.stringify(answer.json))
    assert.deepEqual(Object.keys(answer.json).sort(), ['message', 'user_id'])
    id = answer.json.user_id
    assert.match(id, /^[0-9a-f-]{36}$/)
  })

  test('its three SQL queries find user, profile and their join', async () => {
    const [user] = await server.sql(
      'SELECT id, email, email_confirmed_at FROM auth.users WHERE email = $1', [address])
    assert.equal(user.id, id)
    assert.ok(user.email_confirmed_at)
    assert.deepEqual(await server.sql(
      'SELECT id, name, role, onboarding_completed FROM public.profiles WHERE id = $1', [id]),
    [{ id, name: 'Test User', role: 'Creator', onboarding_completed: false }])
    assert.deepEqual(await server.sql(`SELECT u.id, u.email, p.name, p.role
      FROM auth.users u JOIN public.profiles p ON u.id = p.id WHERE u.email = $1`, [address]),
    [{ id, email: address, name: 'Test User', role: 'Creator' }])
  })

  test('login answers 200 with the whole profile', async () => {
    const answer = await curl('/api/auth/login',
      `{"email":"${address}","password":"StrongPass123$"}`)
    assert.equal(answer.status, 200, JSON.stringify(answer.json))
    const { json } = answer
    assert.equal(json.user_id, id)
    assert.equal(json.email, address)
    assert.equal(json.role, 'Creator')
    assert.equal(json.name, 'Test User')
    assert.equal(json.onboarding_completed, false)
    assert.equal(typeof json.message, 'string')
    assert.equal(json.token_type, 'bearer')
    for (const column of profileColumns) assert.ok(column in json, column)
    assert.equal(json.user.id, id)
    assert.equal(claimsOf(json.access_token).sub, id)
    assert.equal((await refreshed(server, json.refresh_token)).status, 200)
  })

  test('a taken address is 409 with the exact message, however it is written', async () => {
    for (const [target, text] of [['/api/auth/signup', body],
      ['/api/v1/auth/signup', body.replace(address, 'TEST@Example.Com')],
      ['/api/auth/register', body], ['/api/v1/auth/register', body]]) {
      const answer = await curl(target, text)
      assert.equal(answer.status, 409, target)
      assert.equal(answer.json.message, 'A user with this email address has already been registered')
      assert.equal(answer.json.detail, answer.json.message)
      assert.equal(answer.json.status_code, 409)
    }
    assert.equal(await countUsers(server, address), 1)
  })

  test('an unverified address logs in with 403, once confirmed by the command line with 200', async () => {
    const unverified = email('unverified')
    const made = await server.service('POST', '/admin/users', {
      json: { email: unverified, password, user_metadata: { name: 'Ada', role: 'Brand' } },
    })
    assert.equal(made.status, 200, made.text)
    assert.equal(made.json.email_confirmed_at, undefined)
    const login = () => server.app('POST', '/auth/login', { json: { email: unverified, password } })
    const early = await login()
    assert.equal(early.status, 403)
    assert.equal(early.json.message, 'Please verify your email before logging in')
    const confirmed = await server.command(['user', 'confirm', unverified])
    assert.equal(confirmed.code, 0, confirmed.stderr)
    const later = await login()
    assert.equal(later.status, 200, later.text)
    assert.equal(later.json.name, 'Ada')
    assert.equal(later.json.role, 'Brand')
    assert.equal(later.json.onboarding_completed, false)
    for (const column of profileColumns) assert.ok(column in later.json, column)
  })

  test('with profiles renamed away nothing is left behind', async () => {
    const lost = 'rollback.test@example.com'
    await server.sql('ALTER TABLE profiles RENAME TO profiles_backup')
    try {
      const answer = await curl('/api/auth/signup', body.replace(address, lost))
      assert.equal(answer.status, 500)
      assert.equal(answer.json.message, 'Failed to create profile. Auth user removed for safety.')
      assert.equal(await countUsers(server, lost), 0)
    } finally {
      await server.sql('ALTER TABLE profiles_backup RENAME TO profiles')
    }
    assert.equal((await curl('/api/auth/signup', body.replace(address, lost))).status, 200)
    assert.equal(await countUsers(server, lost), 1)
  })

  test('a user whose profile is gone is told so and gets no session', async () => {
    const address404 = email('no-profile')
    const made = await server.app('POST', '/auth/signup', { json: { email: address404, password } })
    assert.equal(made.status, 200, made.text)
    await server.sql('delete from public.profiles where id = $1', [made.json.user_id])
    const answer = await server.app('POST', '/auth/login', { json: { email: address404, password } })
    assert.equal(answer.status, 404, answer.text)
    assert.equal(answer.json.message, 'User profile not found')
    assert.deepEqual(await server.sql('select id from auth.sessions where user_id = $1',
      [made.json.user_id]), [])
  })
})

describe('seed 003: finance app', () => {
  const body = `{
    "email": "finance@example.com",
    "password": "password123", 
    "country": "US",
    "annual_income": 50000,
    "timezone": "UTC"
  }`

  test('register answers 201 with a token pair and the role basic_user', async () => {
    const from = performance.now()
    const answer = await curl('/api/auth/register', body)
    assert.equal(answer.status, 201, JSON.stringify(answer.json))
    assert.ok(performance.now() - from < 5000)
    const { json } = answer
    assert.equal(json.role, 'basic_user')
    assert.equal(json.user.role, 'basic_user')
    assert.equal(json.token_type, 'bearer')
    assert.equal(json.expires_in, 3600)
    assert.equal(json.country, 'US')
    assert.equal(json.annual_income, 50000)
    assert.equal(json.timezone, 'UTC')
    const me = await server.app('GET', '/auth/me', { token: json.access_token })
    assert.equal(me.status, 200, me.text)
    assert.equal(me.json.email, 'finance@example.com')
    assert.equal(me.json.annual_income, 50000)
    const next = await server.app('POST', '/auth/refresh-token',
      { json: { refresh_token: json.refresh_token } })
    assert.equal(next.status, 200, next.text)
    assert.notEqual(next.json.refresh_token, json.refresh_token)
  })

  test('the role is data: the token stays an ordinary user\'s', async () => {
    const answer = await curl('/api/auth/login',
      '{"email":"finance@example.com","password":"password123"}')
    assert.equal(claimsOf(answer.json.access_token).role, 'authenticated')
    const [user] = await server.sql('select role from auth.users where email = $1',
      ['finance@example.com'])
    assert.equal(user.role, 'authenticated')
  })
})

describe('seed 001: image app', () => {
  const body = '{"email":"image@example.com","password":"password123"}'

  test('register, then login in under two seconds', async () => {
    const made = await curl('/api/v1/auth/register', body)
    assert.equal(made.status, 201, JSON.stringify(made.json))
    const from = performance.now()
    const answer = await curl('/api/v1/auth/login', body)
    assert.equal(answer.status, 200, JSON.stringify(answer.json))
    assert.ok(performance.now() - from < 2000)
    assert.equal(answer.json.user.email, 'image@example.com')
    assert.equal(answer.json.role, 'basic_user')
  })
})

describe('app routes', () => {
  for (const prefix of ['/auth', '/v1/auth']) {
    test(`the whole round under /api${prefix}`, async () => {
      const address = email('round')
      const post = (target, json, token) =>
        server.app('POST', prefix + target, { json, token })
      const made = await post('/register', { email: address, password, full_name: 'Grace Hopper' })
      assert.equal(made.status, 201, made.text)
      assert.equal(made.json.full_name, 'Grace Hopper')
      assert.equal(made.headers['cache-control'], 'no-store')
      const login = await post('/login', { email: address, password })
      assert.equal(login.status, 200, login.text)
      const token = login.json.access_token
      const me = await server.app('GET', `${prefix}/me`, { token })
      assert.equal(me.json.id, made.json.user_id)
      assert.equal(me.json.full_name, 'Grace Hopper')
      const next = await post('/refresh', { refresh_token: login.json.refresh_token })
      assert.equal(next.status, 200, next.text)
      assert.equal(next.json.user.id, made.json.user_id)
      const out = await post('/logout', undefined, token)
      assert.equal(out.status, 200, out.text)
      assert.equal((await server.app('GET', `${prefix}/me`, { token })).status, 401)
      // the other session, from register, lives on
      assert.equal((await server.app('GET', `${prefix}/me`,
        { token: made.json.access_token })).status, 200)
      const health = await server.app('GET', `${prefix}/health`)
      assert.equal(health.status, 200)
      assert.equal(health.json.status, 'healthy')
    })
  }

  const refused = [
    ['a field that is nobody\'s to set', { id: '00000000-0000-4000-8000-000000000001' }, 'id'],
    ['onboarding_completed', { onboarding_completed: true }, 'onboarding_completed'],
    ['is_admin', { is_admin: true }, 'is_admin'],
    ['email_confirm', { email_confirm: true }, 'email_confirm'],
    ['app_metadata', { app_metadata: { role: 'service_role' } }, 'app_metadata'],
    ['an unknown role', { role: 'service_role' }, 'role'],
    ['a role in the wrong case', { role: 'creator' }, 'role'],
    ['a role that is a number', { role: 1 }, 'role'],
    ['a name that is a list', { name: ['a'] }, 'name'],
    ['a name that is too long', { name: 'x'.repeat(256) }, 'name'],
    ['an income that is text', { annual_income: '50000' }, 'annual_income'],
    ['a negative income', { annual_income: -1 }, 'annual_income'],
    ['an income beyond ten million', { annual_income: 10000001 }, 'annual_income'],
    ['a timezone that is an object', { timezone: {} }, 'timezone'],
    ['a country that is true', { country: true }, 'country'],
    ['no e-mail', { email: undefined }, 'email'],
    ['an e-mail that is a number', { email: 5 }, 'email'],
    ['an e-mail without a host', { email: 'nobody' }, 'email'],
    ['no password', { password: undefined }, 'password'],
    ['a short password', { password: 'short12' }, 'password'],
    ['a password of 129 characters', { password: 'x'.repeat(129) }, 'password'],
    ['a password that is a number', { password: 12345678 }, 'password'],
  ]
  for (const [what, fields, named] of refused) {
    test(`${what} is 422 naming ${named}`, async () => {
      const address = email('refused')
      for (const target of ['/auth/signup', '/v1/auth/register']) {
        const answer = await server.app('POST', target,
          { json: { email: address, password, ...fields } })
        assert.equal(answer.status, 422, answer.text)
        assert.equal(answer.json.error, 'validation_failed')
        assert.match(answer.json.message, new RegExp(`\\b${named}\\b`))
        assert.doesNotMatch(answer.headers['server-timing'], /hash/, 'refused before the hash')
      }
      assert.equal(await countUsers(server, address), 0)
    })
  }

  test('null counts as not given, and a wrong body is 400', async () => {
    const address = email('null')
    const answer = await server.app('POST', '/auth/register',
      { json: { email: address, password, name: null, role: null } })
    assert.equal(answer.status, 201, answer.text)
    assert.equal(answer.json.name, null)
    assert.equal(answer.json.role, 'basic_user')
    for (const body of ['', '{', '[]', 'null', '{"email":"a@b.c","email":"d@e.f"}'])
      assert.equal((await server.app('POST', '/auth/register', { body })).status, 400, body)
  })

  test('a wrong password and an unknown address are the same 401', async () => {
    const address = email('wrong')
    assert.equal((await server.app('POST', '/auth/signup',
      { json: { email: address, password } })).status, 200)
    const wrong = await server.app('POST', '/auth/login',
      { json: { email: address, password: 'not-the-one' } })
    const unknown = await server.app('POST', '/auth/login',
      { json: { email: email('unknown'), password } })
    for (const answer of [wrong, unknown]) {
      assert.equal(answer.status, 401)
      assert.equal(answer.json.message, 'Invalid email or password')
      assert.match(answer.headers['server-timing'], /hash/)
    }
    const same = ({ json }) => ({ ...json, request_id: '' })
    assert.deepEqual(same(wrong), same(unknown))
  })

  test('a token that is missing, false or spent', async () => {
    assert.equal((await server.app('GET', '/auth/me')).status, 401)
    assert.equal((await server.app('GET', '/auth/me', { token: 'x.y.z' })).status, 401)
    for (const refresh_token of ['abcdefghijkl', '', 'UPPERCASE123', 'x'.repeat(100)]) {
      const answer = await server.app('POST', '/auth/refresh', { json: { refresh_token } })
      assert.equal(answer.status, 401, refresh_token)
      assert.equal(answer.json.message, 'Invalid refresh token')
    }
    assert.equal((await server.app('POST', '/auth/refresh', { json: {} })).status, 422)
  })
})
