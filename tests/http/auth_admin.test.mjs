// SPDX-License-Identifier: Apache-2.0
// /auth/v1/admin/users and `basalt user`.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { countUsers, email, password, signedUp, start } from '../lib/basalt.mjs'
import { sign } from '../lib/jwt.mjs'
import { refused } from '../lib/refused.mjs'

let server

before(async () => {
  server = await start()
})

const admin = (method, target = '', options = {}) =>
  server.service(method, `/admin/users${target}`, options)
const create = async (json = {}) => {
  const answer = await admin('POST', '', { json: { email: email('made'), password, ...json } })
  assert.equal(answer.status, 200, answer.text)
  return answer.json
}
const login = (address, word = password) => server.auth('POST', '/token?grant_type=password',
  { json: { email: address, password: word } })

describe('who may', () => {
  test('the service and secret keys, and tokens of admin roles', async () => {
    const token = sign({ role: 'supabase_admin', exp: Math.floor(Date.now() / 1000) + 60 },
      server.jwtSecret)
    const tokenForever = sign({ role: 'service_role' }, server.jwtSecret)
    const { anon, service, secret, publishable } = server.keys
    const list = (headers) => server.call('/auth/v1/admin/users', { headers })
    for (const headers of [
      { apikey: service, authorization: `Bearer ${service}` },
      { apikey: secret, authorization: `Bearer ${secret}` },
      { apikey: service }, { apikey: secret }, { authorization: `Bearer ${secret}` },
      { apikey: anon, authorization: `Bearer ${service}` },
      { apikey: publishable, authorization: `Bearer ${secret}` },
      { apikey: anon, authorization: `Bearer ${token}` },
      { apikey: anon, authorization: `Bearer ${tokenForever}` },
    ]) assert.equal((await list(headers)).status, 200, JSON.stringify(headers))
    const user = await signedUp(server)
    for (const [headers, status] of [
      [{}, 401], [{ apikey: anon }, 401], [{ apikey: publishable }, 401],
      [{ apikey: anon, authorization: `Bearer ${anon}` }, 403],
      [{ apikey: publishable, authorization: `Bearer ${publishable}` }, 403],
      [{ apikey: anon, authorization: `Bearer ${user.token}` }, 403],
      // the bearer decides: a user's token is not raised by the key beside it
      [{ apikey: service, authorization: `Bearer ${user.token}` }, 403],
      [{ apikey: anon, authorization: 'Bearer x.y.z' }, 403],
    ]) assert.equal((await list(headers)).status, status, JSON.stringify(headers))
  })
})

describe('create', () => {
  test('keeps user_metadata exactly; email_confirm adds email_verified', async () => {
    const given = { full_name: 'Ada <Lovelace> & Co', n: { deep: [1, { x: null }] }, e: {} }
    assert.deepEqual((await create({ user_metadata: given })).user_metadata, given)
    assert.deepEqual((await create()).user_metadata, {})
    assert.deepEqual((await create({ user_metadata: given, email_confirm: true })).user_metadata,
      { ...given, email_verified: true })
  })

  test('makes identity, profile and audit rows; no session', async () => {
    const user = await create({ user_metadata: { name: 'Ada', role: 'Creator' } })
    const [row] = await server.sql(`select
      (select identity_data from auth.identities where user_id = $1) as identity,
      (select row(name, role)::text from public.profiles where id = $1) as profile,
      (select count(*)::int from auth.sessions where user_id = $1) as sessions,
      (select count(*)::int from auth.audit_log_entries
        where payload ->> 'actor_id' = $1::text or payload -> 'traits' ->> 'user_id' = $1::text) > 0
        as audited`, [user.id])
    assert.deepEqual(row, { identity: { sub: user.id, email: user.email, email_verified: false,
      phone_verified: false }, profile: '(Ada,Creator)', sessions: 0, audited: true })
  })

  test('own id, role, aud, phone, app_metadata, ban', async () => {
    const id = crypto.randomUUID()
    const phone = `1555${Math.floor(1e6 + Math.random() * 9e6)}`
    const user = await create({ id, role: 'editor', phone: `+${phone}`, phone_confirm: true,
      app_metadata: { plan: 'x', provider: 'custom' }, ban_duration: '2h' })
    assert.equal(user.id, id)
    assert.equal(user.role, 'editor')
    assert.equal(user.phone, phone)
    assert.ok(user.phone_confirmed_at)
    assert.deepEqual(user.app_metadata, { plan: 'x', provider: 'custom',
      providers: ['email', 'phone'] })
    assert.equal(user.identities.length, 2)
    const until = Date.parse(user.banned_until)
    assert.ok(Math.abs(until - Date.now() - 7_200_000) < 60_000)
  })

  test('by phone alone', async () => {
    const answer = await admin('POST', '', { json: { phone: '15550001111', password } })
    assert.equal(answer.status, 200, answer.text)
    assert.equal(answer.json.email, '')
    assert.deepEqual(answer.json.app_metadata, { provider: 'phone', providers: ['phone'] })
    await refused((version) => admin('POST', '', { json: { phone: '+1 555 000 1111', password },
      version }), 422, 'phone_exists')
  })

  test('no strength is asked for, and no password makes a random one', async () => {
    const weak = await create({ password: 'a', email_confirm: true })
    assert.equal((await login(weak.email, 'a')).status, 200)
    const none = await create({ password: undefined, email_confirm: true })
    const [row] = await server.sql('select encrypted_password p from auth.users where id = $1',
      [none.id])
    assert.match(row.p, /^\$argon2id\$/)
    assert.equal((await login(none.email, '')).status, 400)
  })

  const cases = [
    ['a taken address', 422, 'email_exists',
      'A user with this email address has already been registered',
      async () => ({ email: (await create()).email.toUpperCase() })],
    ['neither address nor phone', 400, 'validation_failed',
      'Cannot create a user without either an email or phone', () => ({ password })],
    ['a malformed address', 400, 'validation_failed', /invalid format/, () => ({ email: 'x' })],
    ['a malformed phone', 400, 'validation_failed', /E\.164/, () => ({ phone: '0123' })],
    ['a phone with letters', 400, 'validation_failed', /E\.164/, () => ({ phone: '1555abc' })],
    ['an id that is no uuid', 400, 'validation_failed', undefined,
      () => ({ email: email(), id: 'x' })],
    ['the nil id', 400, 'validation_failed', undefined,
      () => ({ email: email(), id: '00000000-0000-0000-0000-000000000000' })],
    ['both password and hash', 400, 'validation_failed', undefined,
      () => ({ email: email(), password, password_hash: '$2b$04$x' })],
    ['an unknown form of hash', 400, 'validation_failed', undefined,
      () => ({ email: email(), password_hash: 'md5:5f4dcc3b5aa765d61d8327deb882cf99' })],
    ['a ban of nonsense', 400, 'validation_failed', undefined,
      () => ({ email: email(), ban_duration: 'soon' })],
    ['a ban of an endless time', 400, 'validation_failed', undefined,
      () => ({ email: email(), ban_duration: '999999999999h' })],
    ['an empty body', 400, 'bad_json', undefined, () => undefined],
  ]
  for (const [what, status, code, message, body] of cases) {
    test(`${what} is ${status} ${code}`, async () => {
      const json = await body()
      await refused((version) => admin('POST', '', { json, version }), status, code, message)
    })
  }

  test('a taken id is an error, and changes nobody', async () => {
    const user = await create()
    const answer = await admin('POST', '', { json: { id: user.id, email: email(), password } })
    assert.ok(answer.status >= 400, answer.text)
    assert.equal((await admin('GET', `/${user.id}`)).json.email, user.email)
  })
})

describe('get, update, delete', () => {
  test('get: 404 for strangers and nonsense', async () => {
    const user = await create()
    const got = await admin('GET', `/${user.id}`)
    assert.equal(got.status, 200)
    assert.deepEqual(got.json, user)
    assert.equal((await admin('GET', `/${user.id.toUpperCase()}`)).json.id, user.id)
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const json = method === 'PUT' ? {} : undefined
      await refused((version) => admin(method, `/${crypto.randomUUID()}`, { json, version }), 404,
        'user_not_found', 'User not found')
      for (const id of ['x', `${user.id}x`, '%00', "'%20or%201=1--"])
        await refused((version) => admin(method, `/${id}`, { json, version }), 404,
          'validation_failed')
    }
  })

  test('update: metadata is merged, null deletes, nothing given keeps all', async () => {
    const user = await create({ user_metadata: { a: 1, b: { c: 2 } }, app_metadata: { x: 1 } })
    const put = (json) => admin('PUT', `/${user.id}`, { json })
    const changed = (await put({ user_metadata: { a: null, b: { d: 3 }, e: 'f' },
      app_metadata: { x: null, y: [] } })).json
    assert.deepEqual(changed.user_metadata, { b: { d: 3 }, e: 'f' })
    assert.deepEqual(changed.app_metadata, { provider: 'email', providers: ['email'], y: [] })
    const same = (await put({})).json
    assert.deepEqual({ ...same, updated_at: '' }, { ...changed, updated_at: '' })
  })

  test('update: address at once, with its identity; confirmation; role', async () => {
    const user = await create()
    const address = email('moved')
    const changed = await admin('PUT', `/${user.id}`,
      { json: { email: address.toUpperCase(), email_confirm: true, role: 'editor' } })
    assert.equal(changed.status, 200, changed.text)
    assert.equal(changed.json.email, address)
    assert.equal(changed.json.role, 'editor')
    assert.ok(changed.json.email_confirmed_at)
    assert.equal(changed.json.identities[0].identity_data.email, address)
    assert.equal(changed.json.identities[0].identity_data.email_verified, true)
    assert.equal((await login(address)).status, 200)
    assert.equal((await login(user.email)).status, 400)
  })

  test('update: a taken address is GoTrue\'s 500, and nothing changes', async () => {
    const [one, two] = [await create(), await create()]
    await refused((version) => admin('PUT', `/${one.id}`,
      { json: { email: two.email, user_metadata: { z: 1 } }, version }), 500, 'unexpected_failure',
    'Error updating user')
    assert.deepEqual((await admin('GET', `/${one.id}`)).json, one)
  })

  test('update: refused values', async () => {
    const user = await create()
    for (const [json, status, code] of [
      [{ password: 'short' }, 422, 'weak_password'], [{ email: 'x' }, 400, 'validation_failed'],
      [{ ban_duration: '1 day' }, 400, 'validation_failed'],
      [{ phone: 'x' }, 400, 'validation_failed'], [undefined, 400, 'bad_json']])
      await refused((version) => admin('PUT', `/${user.id}`, { json, version }), status, code)
    assert.deepEqual((await admin('GET', `/${user.id}`)).json, user)
  })

  test('ban durations in Go\'s words', async () => {
    const user = await create()
    for (const [text, seconds] of [['24h', 86_400], ['1h30m', 5400], ['90s', 90], ['1.5h', 5400],
      ['100ms', 0.1]]) {
      const { status, json } = await admin('PUT', `/${user.id}`, { json: { ban_duration: text } })
      assert.equal(status, 200, text)
      const left = (Date.parse(json.banned_until) - Date.now()) / 1000
      assert.ok(left <= seconds + 1 && left > seconds - 30, `${text}: ${left}`)
    }
    const lifted = await admin('PUT', `/${user.id}`, { json: { ban_duration: 'none' } })
    assert.equal(lifted.json.banned_until, undefined)
  })

  test('delete: everything that was theirs', async () => {
    const user = await signedUp(server)
    const gone = await admin('DELETE', `/${user.id}`)
    assert.equal(gone.status, 200)
    assert.equal(gone.text, '{}')
    const [row] = await server.sql(`select
      (select count(*) from auth.users where id = $1)
      + (select count(*) from auth.identities where user_id = $1)
      + (select count(*) from auth.sessions where user_id = $1)
      + (select count(*) from auth.refresh_tokens where user_id = $1::text)
      + (select count(*) from public.profiles where id = $1) as n`, [user.id])
    assert.equal(row.n, '0')
    assert.equal((await signedUp(server, { email: user.email })).email, user.email)
  })

  test('soft delete: the address is hashed and free again', async () => {
    const user = await signedUp(server, { data: { private: 'x' } })
    const soft = { json: { should_soft_delete: true } }
    assert.equal((await admin('DELETE', `/${user.id}`, soft)).status, 200)
    assert.equal((await admin('DELETE', `/${user.id}`, soft)).status, 200, 'twice is once')
    const { json } = await admin('GET', `/${user.id}`)
    assert.match(json.email, /^[A-Za-z0-9_-]{43}$/)
    assert.deepEqual(json.user_metadata, {})
    assert.deepEqual(json.app_metadata, {})
    assert.ok(json.deleted_at)
    for (const identity of json.identities) assert.deepEqual(identity.identity_data, {})
    assert.equal((await login(user.email)).status, 400)
    assert.notEqual((await signedUp(server, { email: user.email })).id, user.id)
  })
})

describe('list', () => {
  const list = (query = '', options) => admin('GET', query, options)

  test('newest first, total and links in the headers, page before per_page', async () => {
    const made = []
    for (let i = 0; i < 7; i++)
      made.push(await create({ user_metadata: { full_name: `Paged Person ${i}` } }))
    const first = await list('?page=1&per_page=3&filter=paged')
    assert.equal(first.status, 200, first.text)
    assert.equal(first.json.aud, 'authenticated')
    assert.deepEqual(first.json.users.map((user) => user.id),
      made.slice(-3).reverse().map((user) => user.id))
    assert.equal(first.headers['x-total-count'], '7')
    assert.equal(first.headers.link, '</admin/users?page=2&per_page=3&filter=paged>; rel="next", '
      + '</admin/users?page=3&per_page=3&filter=paged>; rel="last"')
    const last = await list('?page=3&per_page=3&filter=paged')
    assert.equal(last.json.users.length, 1)
    assert.equal(last.headers.link, '</admin/users?page=3&per_page=3&filter=paged>; rel="last"')
    const beyond = await list('?page=9&per_page=3&filter=paged')
    assert.deepEqual(beyond.json.users, [])
    assert.equal(beyond.headers['x-total-count'], '7')
    const rising = await list('?per_page=100&filter=paged&sort=created_at%20asc')
    assert.deepEqual(rising.json.users.map((user) => user.id), made.map((user) => user.id))
    const empty = await list('?page=&per_page=&filter=paged')
    assert.equal(empty.json.users.length, 7)
  })

  test('filter: part of the address, or of full_name in any case; wildcards are letters', async () => {
    const user = await create({ email: email('needle'), user_metadata: { full_name: 'Zoë 100%' } })
    for (const filter of ['needle-', encodeURIComponent('zoë 100%')])
      assert.deepEqual((await list(`?filter=${filter}`)).json.users.map((found) => found.id),
        [user.id], filter)
    for (const filter of ['NEEDLE-', '%25', '_eedle', "'%20or%20'1'='1"])
      assert.ok(!(await list(`?filter=${filter}`)).json.users.some((found) => found.id === user.id
        && !found.user_metadata.full_name.includes(decodeURIComponent(filter))), filter)
    const nobody = await list('?filter=there-is-no-such-user')
    assert.deepEqual(nobody.json.users, [])
    assert.equal(nobody.headers['x-total-count'], '0')
    assert.match(nobody.headers.link, /page=1&per_page=50&filter=there-is-no-such-user>; rel="last"/)
  })

  test('bad numbers and sorts are 400', async () => {
    for (const query of ['?page=-1', '?page=x', '?per_page=-5', '?page=1.5', '?page=99999999999999999999',
      '?sort=email', '?sort=created_at%20sideways', '?sort=created_at;drop%20table%20x'])
      await refused((version) => list(query, { version }), 400, 'validation_failed')
  })
})

describe('basalt user', () => {
  const basalt = (args, input) => server.command(['user', ...args], { input })

  test('create, list, confirm, password, delete', async () => {
    const address = email('cli')
    const made = await basalt(['create', address, '--role', 'Brand'], `${password}\n`)
    assert.equal(made.code, 0, made.stderr)
    const id = /^([0-9a-f-]{36}) /.exec(made.stdout)[1]
    assert.match(made.stdout, /not confirmed/)
    assert.equal((await login(address)).json.code, 'email_not_confirmed')
    assert.deepEqual(await server.sql('select role from public.profiles where id = $1', [id]),
      [{ role: 'Brand' }])
    assert.equal((await basalt(['confirm', address])).code, 0)
    assert.equal((await login(address)).status, 200)
    const listed = await basalt(['list', address])
    assert.match(listed.stdout, new RegExp(`^${id} .*\\bconfirmed\\b.*${address}$`, 'm'))
    assert.equal((await basalt(['password', address], 'second-password\n')).code, 0)
    assert.equal((await login(address)).status, 400)
    assert.equal((await login(address, 'second-password')).status, 200)
    assert.equal((await basalt(['delete', address])).code, 0)
    assert.equal(await countUsers(server, address), 0)
  })

  test('create --confirmed may log in by the app\'s door at once', async () => {
    const address = email('cli')
    assert.equal((await basalt(['create', address, '--confirmed'], password)).code, 0)
    const answer = await server.app('POST', '/auth/login', { json: { email: address, password } })
    assert.equal(answer.status, 200, answer.text)
    assert.equal(answer.json.role, 'basic_user')
  })

  test('refusals are a sentence and a status', async () => {
    const address = email('cli')
    await basalt(['create', address], password)
    for (const [args, input, status, words] of [
      [['create', address], password, 1, /already been registered/],
      [['create', 'no address'], password, 1, /invalid format/],
      [['create', email()], '', 2, /password/],
      [['confirm', email('nobody')], '', 1, /not found/],
      [['delete', email('nobody')], '', 1, /not found/],
      [['list', 'a', 'b', 'c'], '', 2, /too many/],
      [['destroy', address], '', 2, /create, confirm, password, list or delete/],
      [['create', email(), '--role', 'service_role'], password, 1, /role must be one of/]]) {
      const done = await basalt(args, input)
      assert.equal(done.code, status, `${args}: ${done.stdout}${done.stderr}`)
      assert.match(done.stderr, words, args.join(' '))
    }
  })
})

describe('what a change by an administrator ends', () => {
  const tokens = async (id) => (await server.sql(`select
    (select count(*)::int from auth.one_time_tokens where user_id = $1) as rows,
    recovery_token, email_change, email_change_token_new from auth.users where id = $1`, [id]))[0]
  const pending = async () => {
    const user = await signedUp(server)
    await server.service('POST', '/admin/generate_link', { json: { type: 'recovery', email: user.email } })
    await server.service('POST', '/admin/generate_link', { json: { type: 'email_change_new',
      email: user.email, new_email: email('wished') } })
    const held = await tokens(user.id)
    assert.ok(held.rows === 2 && held.recovery_token && held.email_change_token_new)
    return user
  }

  test('links sent before die with the password and with the address', async () => {
    for (const json of [{ password: 'set-by-admin' }, { email: email('given') },
      { email_confirm: true }]) {
      const user = await pending()
      const changed = await admin('PUT', `/${user.id}`, { json })
      assert.equal(changed.status, 200, changed.text)
      const left = await tokens(user.id)
      assert.deepEqual([left.rows, left.recovery_token, left.email_change_token_new], [0, '', ''])
      if (json.email) assert.equal(left.email_change, '')
    }
    const kept = await pending()
    await admin('PUT', `/${kept.id}`, { json: { user_metadata: { a: 1 }, ban_duration: '1h' } })
    assert.equal((await tokens(kept.id)).rows, 2)
  })

  test('confirming marks the metadata; an anonymous user with a confirmed address is permanent',
    async () => {
      const made = await create()
      const shown = await admin('PUT', `/${made.id}`, { json: { email_confirm: true,
        user_metadata: { a: 1 } } })
      assert.deepEqual(shown.json.user_metadata, { a: 1, email_verified: true })
      const anonymous = (await server.auth('POST', '/signup', { json: {} })).json.user
      const still = await admin('PUT', `/${anonymous.id}`, { json: { email: email('unseen') } })
      assert.equal(still.json.is_anonymous, true)
      const lasting = await admin('PUT', `/${anonymous.id}`, { json: { email: email('seen'),
        email_confirm: true } })
      assert.equal(lasting.json.is_anonymous, false)
      assert.deepEqual(lasting.json.app_metadata, { provider: 'email', providers: ['email'] })
    })
})
