// SPDX-License-Identifier: Apache-2.0
// A user is whole or not at all, by every path that makes one and however it is kept from being
// whole; and no session outlives what ended it, also when that happened in the midst of a login.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { before, describe, test } from 'node:test'
import { countUsers, email, loggedIn, password, refreshed, scratch, signedUp, start }
  from '../lib/basalt.mjs'
import { claimsOf } from '../lib/jwt.mjs'
import { session } from '../lib/sql.mjs'
import { patience, waitFor } from '../lib/wait.mjs'

const DEADLINE_S = 3
const wordOf500 = 'Failed to create profile. Auth user removed for safety.'
let server

before(async () => {
  server = await start({ settings: { request_timeout: `${DEADLINE_S}s`, hash_threads: 2 } })
})

// Every path: { status, message, id }, status 0 for a command that went well.
const paths = {
  'POST /api/auth/signup': (to, address) => overHttp(to.app('POST', '/auth/signup',
    { json: { name: 'A', email: address, password, role: 'Creator' } })),
  'POST /api/v1/auth/register': (to, address) => overHttp(to.app('POST', '/v1/auth/register',
    { json: { email: address, password, country: 'US', annual_income: 5 } })),
  'POST /auth/v1/signup': (to, address) => overHttp(to.auth('POST', '/signup',
    { json: { email: address, password, data: { name: 'A' } } })),
  'POST /auth/v1/admin/users': (to, address) => overHttp(to.service('POST', '/admin/users',
    { json: { email: address, password, email_confirm: true } })),
  'basalt user create': async (to, address) => {
    const done = await to.command(['user', 'create', address, '--confirmed'],
      { input: `${password}\n`, settings: { request_timeout: `${DEADLINE_S}s` } })
    return { status: done.code, message: done.stderr }
  },
}

async function overHttp(call) {
  const { status, json, headers } = await call
  return { status, message: json?.message ?? '', requestId: headers['x-request-id'] }
}

const went = (answer) => [0, 200, 201].includes(answer.status)

// What holds a user together, for one address.
async function whole(to, address) {
  const [row] = await to.sql(`select u.id, i.user_id as identity, p.id as profile from auth.users u
    left join auth.identities i on i.user_id = u.id left join public.profiles p on p.id = u.id
    where u.email = $1`, [address])
  return row && row.identity === row.id && row.profile === row.id
}

async function withSql(make, undo, work) {
  const admin = await session(server.urlAs('supabase_admin', 'DB_ADMIN_PASSWORD'))
  try {
    await admin.client.query(make)
    await work()
  } finally {
    await admin.client.query(undo)
    await admin.close()
  }
}

const trigger = (name, table, body, when = 'before insert', constraint = '') => [
  `create function public.${name}() returns trigger language plpgsql as $$ begin ${body} end $$;
   create ${constraint ? 'constraint' : ''} trigger ${name} ${when} on ${table} ${constraint}
     for each row execute function public.${name}()`,
  `drop trigger ${name} on ${table}; drop function public.${name}()`]
const deferred = (name, table, body) =>
  trigger(name, table, `${body} return null;`, 'after insert', 'deferrable initially deferred')

const faults = {
  'profiles renamed away': ['alter table public.profiles rename to profiles_backup',
    'alter table public.profiles_backup rename to profiles', wordOf500, /profiles/],
  'a trigger that raises': [...trigger('tf_raises', 'public.profiles',
    "raise exception 'no profiles today';"), wordOf500, /no profiles today/],
  'a trigger that swallows the row': [...trigger('tf_swallows', 'public.profiles', 'return null;'),
    wordOf500, /skipped/],
  'a check that fails': [
    'alter table public.profiles add constraint tf_check check (role = \'nobody\') not valid',
    'alter table public.profiles drop constraint tf_check', wordOf500, /tf_check/],
  'a column that has to be filled': [
    `alter table public.profiles add column tf_needed text not null default '';
     alter table public.profiles alter tf_needed drop default`,
    'alter table public.profiles drop column tf_needed', wordOf500, /tf_needed/],
  'a right that was taken away': ['revoke insert on public.profiles from service_role',
    'grant insert on public.profiles to service_role', wordOf500, /profiles/],
  'a deferred constraint trigger': [...deferred('tf_deferred', 'public.profiles',
    "raise exception 'too late' using constraint = 'tf_deferred_rule';"), wordOf500,
  /tf_deferred|too late/],
  'a deferred foreign key': [`create table public.tf_other (id int primary key);
    alter table public.profiles add column tf_fk int
    constraint tf_fk references public.tf_other deferrable initially deferred;
    alter table public.profiles alter tf_fk set default 7`,
  'alter table public.profiles drop column tf_fk; drop table public.tf_other', wordOf500, /tf_fk/],
  'an app\'s trigger on auth.users that fails': [...trigger('tf_users', 'auth.users',
    "insert into public.tf_nowhere values (1); return new;", 'after insert'),
  'Database error saving new user', /tf_nowhere/],
  'a deferred trigger on auth.users': [...deferred('tf_users_deferred', 'auth.users',
    "raise exception 'users too late';"), undefined, /users too late/],
  'a trigger on auth.identities': [...trigger('tf_identities', 'auth.identities',
    "raise exception 'no identities today';"), 'Database error saving new user',
  /no identities today/],
}

for (const [what, [make, undo, message, reason]] of Object.entries(faults)) {
  test(`${what}: a clear error, the reason in the log, no user`, () =>
    withSql(make, undo, async () => {
      for (const [way, create] of Object.entries(paths)) {
        const address = email('broken')
        const answer = await create(server, address)
        assert.ok(!went(answer), `${way} went well`)
        if (way.startsWith('POST')) assert.equal(answer.status, 500, way)
        if (message) assert.ok(answer.message.includes(message), `${way}: ${answer.message}`)
        if (answer.requestId) {
          assert.doesNotMatch(answer.message, reason, 'the reason is not the client\'s to know')
          assert.match(JSON.stringify(await server.logged(answer.requestId)), reason, way)
        } else {
          assert.match(answer.message, reason, way)
        }
        assert.equal(await countUsers(server, address), 0, way)
      }
    }).then(async () => {
      for (const create of Object.values(paths).slice(0, 4)) {
        const address = email('mended')
        assert.ok(went(await create(server, address)))
        assert.ok(await whole(server, address))
      }
    }))
}

const sleeping = {
  'a sleeping trigger': trigger('tf_sleeps', 'public.profiles', 'perform pg_sleep(60); return new;'),
  'a sleeping deferred constraint trigger': deferred('tf_sleeps', 'public.profiles',
    'perform pg_sleep(60);'),
  'a sleeping deferred trigger on auth.users': deferred('tf_sleeps', 'auth.users',
    'perform pg_sleep(60);'),
  'a sleeping deferred trigger on the audit log': deferred('tf_sleeps', 'auth.audit_log_entries',
    'perform pg_sleep(60);'),
}
for (const [what, [make, undo]] of Object.entries(sleeping)) {
  test(`${what}: an error within the deadline, no user`, () => withSql(make, undo, async () => {
    const left = []
    await Promise.all(Object.entries(paths).map(async ([way, create]) => {
      const address = email('sleeping')
      left.push(address)
      const from = performance.now()
      const answer = await create(server, address)
      const seconds = (performance.now() - from) / 1000
      assert.ok(!went(answer), `${way} went well`)
      if (way.startsWith('POST')) {
        assert.ok([500, 503, 504].includes(answer.status), `${way}: ${answer.status}`)
        assert.ok(seconds < DEADLINE_S + patience, `${way} took ${seconds} s`)
      } else {
        assert.ok(seconds < DEADLINE_S + 3 * patience, `${way} took ${seconds} s`)
      }
    }))
    for (const address of left) assert.equal(await countUsers(server, address), 0)
  }))
}

test('a row that the app\'s own trigger made is completed, not doubled', () => withSql(
  ...trigger('tf_handle_new_user', 'auth.users', `insert into public.profiles (id, full_name)
    values (new.id, 'by trigger'); return new;`, 'after insert').map((sql) =>
    sql.replace('language plpgsql', 'language plpgsql security definer')), async () => {
    for (const [way, create] of Object.entries(paths)) {
      const address = email('twice')
      const answer = await create(server, address)
      assert.ok(went(answer), `${way}: ${answer.message}`)
      const rows = await server.sql(`select p.full_name, p.role from public.profiles p
        join auth.users u on u.id = p.id where u.email = $1`, [address])
      assert.deepEqual(rows, [{ full_name: 'by trigger',
        role: way.endsWith('/auth/signup') ? 'Creator' : 'basic_user' }], way)
    }
  }))

test('100 signups of one address at once: one user, 99 told so', async () => {
  const address = email('race')
  const answers = await Promise.all(Array.from({ length: 100 }, (_, i) =>
    Object.values(paths)[i % 4](server, address)))
  assert.equal(answers.filter(went).length, 1)
  for (const answer of answers.filter((a) => !went(a)))
    assert.ok([409, 422, 429, 503, 504].includes(answer.status), `${answer.status} ${answer.message}`)
  assert.equal(await countUsers(server, address), 1)
  assert.ok(await whole(server, address))
})

test('a client that leaves during its signup leaves a whole user or none', async () => {
  const addresses = Array.from({ length: 30 }, () => email('left'))
  await Promise.all(addresses.map((address, i) => {
    const abort = new AbortController()
    const call = server.call('/api/auth/signup', { method: 'POST', signal: abort.signal,
      json: { email: address, password } }).catch(() => {})
    setTimeout(() => abort.abort(), i * 7)
    return call
  }))
  await waitFor('quiet', async () => await server.metric('basalt_http_in_flight') <= 1
    && await server.metric('basalt_pg_pool_in_use') === 0)
  for (const address of addresses)
    assert.ok(await countUsers(server, address) === 0 || await whole(server, address))
})

describe('a full disk', () => {
  const mountable = () => {
    if (process.getuid() !== 0) return 'only root can mount a small file system'
    const probe = fs.mkdtempSync('/tmp/basalt-mount-')
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', probe], { stdio: 'pipe' })
      execFileSync('umount', [probe])
      return false
    } catch (error) {
      return `mounting is not possible here: ${String(error.stderr).trim()}`
    } finally {
      fs.rmSync(probe, { recursive: true, force: true })
    }
  }

  test('refused signups leave nothing, acknowledged ones are there when there is room again',
    { skip: mountable() }, async (t) => {
      const home = scratch()
      const mount = path.join(home, 'disk')
      fs.mkdirSync(mount)
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=160m,mode=755', 'tmpfs', mount])
      t.after(() => execFileSync('umount', ['-l', mount]))
      const small = await start({ home, data: path.join(mount, 'data'),
        settings: { request_timeout: `${DEADLINE_S}s` } })
      await signedUp(small)
      const filler = fs.openSync(path.join(mount, 'filler'), 'w')
      const fill = () => {
        for (const size of [1 << 20, 4096]) {
          try {
            for (;;) fs.writeSync(filler, Buffer.alloc(size))
          } catch (error) {
            assert.equal(error.code, 'ENOSPC')
          }
        }
      }
      const acknowledged = []
      const refused = []
      const refusedBy = new Set()
      await small.sql('create table public.tf_burn (bytes bytea)')
      // uses up what PostgreSQL had set aside
      const burn = () => small.sql(`insert into public.tf_burn
        select decode(string_agg(md5(random()::text), ''), 'hex') from generate_series(1, 10000)`)
      for (let round = 0; refusedBy.size < 5 && round < 60; round++) {
        fill()
        await burn().catch(() => small.forgetSql())
        for (const [way, create] of Object.entries(paths)) {
          const address = email('full')
          const from = performance.now()
          const answer = await create(small, address)
          const seconds = (performance.now() - from) / 1000
          if (went(answer)) {
            acknowledged.push(address)
            continue
          }
          if (way.startsWith('POST')) {
            assert.ok([500, 503, 504, 507].includes(answer.status), `${way}: ${answer.status}`)
            assert.ok(seconds < DEADLINE_S + patience, `${way} took ${seconds} s`)
          }
          assert.ok(answer.message.length > 10, 'in words')
          refused.push(address)
          refusedBy.add(way)
        }
      }
      assert.equal(refusedBy.size, 5, `refused by ${[...refusedBy]}`)
      fs.closeSync(filler)
      fs.unlinkSync(path.join(mount, 'filler'))
      await small.forgetSql()
      await waitFor('service with room again', async () =>
        went(await paths['POST /api/auth/signup'](small, email('room'))), 30_000, 100)
      for (const address of acknowledged) assert.ok(await whole(small, address), address)
      for (const address of refused) assert.equal(await countUsers(small, address), 0, address)
      await small.close()
    })
})

describe('a change that commits while a login is between its read and its write', () => {
  let patient // two bcrypts of that cost take their time on a busy machine

  before(async () => {
    patient = await server.beside({ request_timeout: '30s', hash_threads: 2 })
  })

  // bcrypt of "password123" at cost 13: most of a second between the two
  const slowHash = '$2b$13$e9hQpEXWQyGWwXSEcx4bUOIPn5J3Fb1g5lzZ3SLdpv1jkPhxyykc.'
  const changes = {
    'a password change': (id) => server.sql(`update auth.users set encrypted_password = '$2b$04$'
      || 'e9hQpEXWQyGWwXSEcx4bUOGUz2StDgJSf0zbJ2HTyGZSgD/qlg8KK' where id = $1`, [id]),
    'a ban': (id) => server.service('PUT', `/admin/users/${id}`, { json: { ban_duration: '1h' } }),
    'a deletion': (id) => server.service('DELETE', `/admin/users/${id}`),
    'a soft deletion': (id) => server.service('DELETE', `/admin/users/${id}`,
      { json: { should_soft_delete: true } }),
    'a withdrawn confirmation': (id) => server.sql(
      'update auth.users set email_confirmed_at = null where id = $1', [id]),
  }
  const doors = {
    '/auth/v1/token': (address, word) => patient.auth('POST', '/token?grant_type=password',
      { json: { email: address, password: word } }),
    '/api/auth/login': (address, word) => patient.app('POST', '/auth/login',
      { json: { email: address, password: word } }),
  }
  for (const [what, change] of Object.entries(changes)) {
    for (const [door, login] of Object.entries(doors)) {
      test(`${what}, ${door}: no session`, async () => {
        const made = await server.service('POST', '/admin/users',
          { json: { email: email('slow'), password_hash: slowHash, email_confirm: true } })
        const { id, email: address } = made.json
        let answered = false
        const pending = login(address, 'password123').then((answer) => {
          answered = true
          return answer
        })
        await waitFor('the hash to begin', async () =>
          await patient.metric('basalt_hash_busy') >= 1, 5000, 2)
        await change(id)
        assert.equal(answered, false, 'the change came in between')
        const answer = await pending
        // the same password under its new hash is as good as before: started over once
        const startsOver = what === 'a password change'
        assert.equal(answer.status === 200, startsOver, answer.text)
        const sessions = await server.sql('select id from auth.sessions where user_id = $1', [id])
        assert.equal(sessions.length, startsOver ? 1 : 0)
      })
    }
  }

  test('another password while the old one is being compared: refused', async () => {
    const made = await server.service('POST', '/admin/users',
      { json: { email: email('slow'), password_hash: slowHash, email_confirm: true } })
    const pending = doors['/api/auth/login'](made.json.email, 'password123')
    await waitFor('the hash to begin', async () =>
      await patient.metric('basalt_hash_busy') >= 1, 5000, 2)
    const changed = await server.service('PUT', `/admin/users/${made.json.id}`,
      { json: { password: 'entirely-another' } })
    assert.equal(changed.status, 200)
    assert.equal((await pending).status, 401)
    assert.deepEqual(await server.sql('select id from auth.sessions where user_id = $1',
      [made.json.id]), [])
    assert.equal((await loggedIn(server, { email: made.json.email, password: 'entirely-another' }))
      .session.user.id, made.json.id)
  })
})

describe('a change that commits while a refresh is between its read and its write', () => {
  const changes = {
    'a ban': (id) => server.service('PUT', `/admin/users/${id}`, { json: { ban_duration: '1h' } }),
    'a deletion': (id) => server.service('DELETE', `/admin/users/${id}`),
    'a password change': (id) => server.service('PUT', `/admin/users/${id}`,
      { json: { password: 'entirely-another' } }),
    'a logout': (id, token) => server.auth('POST', '/logout', { token }),
  }
  for (const [what, change] of Object.entries(changes)) {
    test(`${what}: nothing that the refresh gave works`, () => withSql(
      ...trigger('tf_gate', 'auth.refresh_tokens',
        'perform pg_advisory_xact_lock_shared(4711); return new;'), async () => {
        const user = await signedUp(server)
        const gate = await session(server.db)
        try {
          await gate.client.query('select pg_advisory_lock(4711)')
          const pending = refreshed(server, user.refresh)
          const waiting = async (n) => (await server.sql(
            'select 1 from pg_locks where not granted')).length >= n
          await waitFor('the refresh at the gate', () => waiting(1))
          const changing = change(user.id, user.token)
          // either it waits for the refresh, or it is done while the refresh still waits
          await Promise.race([changing, waitFor('the change to wait', () => waiting(2), 2000)])
          await gate.client.query('select pg_advisory_unlock(4711)')
          const [answer, changed] = await Promise.all([pending, changing])
          assert.ok([200, 204].includes(changed.status), changed.text)
          if (answer.status === 200) await uselessNow(user, answer.json)
        } finally {
          await gate.close()
        }
        if (what !== 'a ban')
          assert.deepEqual(await server.sql('select id from auth.sessions where user_id = $1',
            [user.id]), [])
      }))
  }

  async function uselessNow(user, tokens) {
    assert.equal(claimsOf(tokens.access_token).sub, user.id)
    const got = await server.auth('GET', '/user', { token: tokens.access_token })
    assert.equal(got.status, 403, got.text)
    const next = await refreshed(server, tokens.refresh_token)
    assert.equal(next.status, 400, next.text)
  }
})
