// SPDX-License-Identifier: Apache-2.0
// What is long over goes by itself, in small batches; what still counts stays.
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { loggedIn, signedUp, start } from '../lib/basalt.mjs'
import * as sql from '../lib/sql.mjs'
import { waitFor } from '../lib/wait.mjs'

let server, admin

before(async () => {
  server = await start({ settings: { cleanup_interval: '300ms', session_timebox: '48h',
    session_inactivity: '24h', mail_retention: '168h' } })
  admin = await sql.session(server.urlAs('supabase_admin', 'DB_ADMIN_PASSWORD'))
})

const count = async (table, where = 'true', values = []) =>
  Number((await admin.rows(`select count(*) from ${table} where ${where}`, values))[0].count)
const gone = (table, where, values) => waitFor(`${table} where ${where} to be gone`,
  async () => await count(table, where, values) === 0)
// One more whole run has ended since.
async function anotherRun() {
  const before = await server.metric('basalt_jobs_total')
  await waitFor('another run', async () => await server.metric('basalt_jobs_total') >= before + 2)
}

test('revoked refresh tokens go after a day, all of a large backlog', async () => {
  const user = await signedUp(server)
  await admin.rows(`insert into auth.refresh_tokens (token, user_id, revoked, created_at, updated_at, session_id)
    select 'old-' || i, $1::text, i <= 250, now() - interval '3 days', now() - interval '25 hours', s.id
    from generate_series(1, 260) i, auth.sessions s where s.user_id = $1::text::uuid`, [user.id])
  await admin.rows(`update auth.refresh_tokens set revoked = true where token = 'old-260'`)
  await admin.rows(`update auth.refresh_tokens set updated_at = now() where token = 'old-259'`)
  await gone('auth.refresh_tokens', `token like 'old-%' and revoked`)
  await anotherRun()
  assert.equal(await count('auth.refresh_tokens', `token like 'old-%'`), 9)
})

test('sessions go when they have long ended', async () => {
  const user = await signedUp(server)
  const sessions = []
  for (let i = 0; i < 4; i++) sessions.push((await loggedIn(server, user)).token)
  const ids = sessions.map((token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).session_id)
  await admin.rows(`update auth.sessions set not_after = now() - interval '73 hours' where id = $1`, [ids[0]])
  await admin.rows(`update auth.sessions set created_at = now() - interval '73 hours', refreshed_at = now() where id = $1`, [ids[1]])
  await admin.rows(`update auth.sessions set created_at = now() - interval '71 hours', refreshed_at = now() - interval '49 hours' where id = $1`, [ids[2]])
  await admin.rows(`update auth.sessions set created_at = now() - interval '71 hours', refreshed_at = now() - interval '47 hours' where id = $1`, [ids[3]])
  await gone('auth.sessions', 'id = any($1)', [ids.slice(0, 3)])
  await anotherRun()
  assert.equal(await count('auth.sessions', 'id = $1', [ids[3]]), 1)
})

test('challenges, states and unverified factors go after a day', async () => {
  const user = await signedUp(server)
  for (const age of ['25 hours', '23 hours']) {
    await admin.rows(`with f as (
      insert into auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at)
      select gen_random_uuid(), $1, 'totp', s::auth.factor_status, now() - $2::interval, now()
      from unnest(array['unverified', 'verified']) s returning id, status)
      insert into auth.mfa_challenges (id, factor_id, created_at, ip_address)
      select gen_random_uuid(), id, now() - $2::interval, '127.0.0.1' from f where status = 'verified'`, [user.id, age])
    await admin.rows(`insert into auth.flow_state (id, user_id, provider_type, authentication_method, created_at)
      values (gen_random_uuid(), $1, 'email', 'magiclink', now() - $2::interval)`, [user.id, age])
    await admin.rows(`insert into auth.oauth_client_states (id, provider_type, created_at)
      values (gen_random_uuid(), 'x', now() - $1::interval)`, [age])
    await admin.rows(`insert into auth.webauthn_challenges (id, user_id, challenge_type, session_data, created_at, expires_at)
      values (gen_random_uuid(), $1, 'authentication', '{}', now(), now() + interval '24 hours' - $2::interval)`, [user.id, age])
  }
  const left = { 'auth.mfa_factors': 3, 'auth.mfa_challenges': 1, 'auth.flow_state': 1,
    'auth.oauth_client_states': 1, 'auth.webauthn_challenges': 1 }
  for (const [table, n] of Object.entries(left))
    await waitFor(`${n} rows in ${table}`, async () => await count(table) === n)
  await anotherRun()
  for (const [table, n] of Object.entries(left)) assert.equal(await count(table), n, table)
})

test('mails: what they held is forgotten when they expire, they themselves after the retention', async () => {
  await admin.rows(`insert into basalt.mail (id, kind, recipient, data, created_at, expires_at) values
    (gen_random_uuid(), 'recovery', 'late@example.com', '{"Token":"1"}', now() - interval '25 hours', now() - interval '1 hour'),
    (gen_random_uuid(), 'recovery', 'old@example.com', '{}', now() - interval '169 hours', now()),
    (gen_random_uuid(), 'recovery', 'new@example.com', '{"Token":"1"}', now(), now() + interval '1 hour')`)
  await admin.rows(`insert into basalt.job (kind, payload, created_at)
    select 'mail', jsonb_build_object('id', id), created_at from basalt.mail where recipient in ('late@example.com', 'new@example.com')`)
  await gone('basalt.mail', `recipient = 'old@example.com'`)
  await gone('basalt.mail', `recipient = 'late@example.com' and data is not null`)
  await anotherRun()
  assert.equal(await count('basalt.mail', `recipient = 'new@example.com' and state = 'waiting' and data is not null`), 1)
  assert.equal(await count('basalt.mail', `recipient = 'late@example.com' and state = 'failed' and last_error <> ''`), 1)
  assert.equal(await count('basalt.job', `kind = 'mail'`), 1)
})

test('rows that somebody holds are passed over', async () => {
  const user = await signedUp(server)
  await admin.rows(`insert into auth.flow_state (id, user_id, provider_type, authentication_method, created_at)
    select gen_random_uuid(), $1, 'held', 'magiclink', now() - interval '2 days' from generate_series(1, 2)`, [user.id])
  const holder = await sql.session(server.urlAs('supabase_admin', 'DB_ADMIN_PASSWORD'))
  await holder.rows('begin')
  const held = await holder.rows(`select id from auth.flow_state where provider_type = 'held' limit 1 for update`)
  if (held.length) await gone('auth.flow_state', `provider_type = 'held' and id <> $1`, [held[0].id])
  await holder.rows('rollback')
  await gone('auth.flow_state', `provider_type = 'held'`)
})

test('anonymous users go after 30 days; those who added an address stay, and all do where it is off', async () => {
  const anonymous = await Promise.all([1, 2, 3].map(() => server.auth('POST', '/signup', { json: {} })))
  const ids = anonymous.map((answer) => answer.json.user.id)
  const kept = await signedUp(server)
  await admin.rows(`update auth.users set created_at = now() - interval '31 days' where id = any($1)`, [[...ids.slice(0, 2), kept.id]])
  await admin.rows(`update auth.users set is_anonymous = false where id = $1`, [ids[1]])
  await gone('auth.users', 'id = $1', [ids[0]])
  await anotherRun()
  assert.equal(await count('auth.users', 'id = any($1)', [[ids[1], ids[2], kept.id]]), 3)
  assert.equal((await server.auth('GET', '/user', { token: anonymous[0].json.access_token })).status, 403)
  await server.stop()
  server.settings = { ...server.settings, anonymous_users: 'false' }
  await server.launch()
  admin = await sql.session(server.urlAs('supabase_admin', 'DB_ADMIN_PASSWORD'))
  await admin.rows(`update auth.users set created_at = now() - interval '31 days' where id = $1`, [ids[2]])
  await anotherRun()
  assert.equal(await count('auth.users', 'id = $1', [ids[2]]), 1)
})
