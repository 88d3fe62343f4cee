// SPDX-License-Identifier: Apache-2.0
// Users without an address: how they come to be, and what they are.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { refreshed, start } from '../lib/basalt.mjs'
import { claimsOf } from '../lib/jwt.mjs'
import { refused } from '../lib/refused.mjs'

let server

before(async () => {
  server = await start({ settings: { rate_limits: 'off' } })
})

const anonymous = async (where = server, json = {}) => {
  const answer = await where.auth('POST', '/signup', { json })
  assert.equal(answer.status, 200, answer.text)
  return answer.json
}

describe('signing in without an address', () => {
  test('gives a session and a user of no provider', async () => {
    const session = await anonymous(server, { data: { theme: 'dark' } })
    const { user } = session
    assert.equal(user.is_anonymous, true)
    assert.deepEqual([user.email, user.phone, user.role, user.aud],
      ['', '', 'authenticated', 'authenticated'])
    assert.deepEqual([user.app_metadata, user.user_metadata, user.identities],
      [{}, { theme: 'dark' }, []])
    assert.ok(user.last_sign_in_at)
    for (const absent of ['email_confirmed_at', 'confirmed_at', 'confirmation_sent_at'])
      assert.equal(user[absent], undefined)
    const claims = claimsOf(session.access_token)
    assert.equal(claims.is_anonymous, true)
    assert.equal(claims.sub, user.id)
    assert.deepEqual(claims.amr.map((a) => a.method), ['anonymous'])
    const me = await server.auth('GET', '/user', { token: session.access_token })
    assert.deepEqual(me.json, user)
  })

  test('writes profile, audit and amr rows; the session is refreshed as any', async () => {
    const session = await anonymous(server, { data: { name: 'Device 7' } })
    const [row] = await server.sql(`select
      (select row(name, role)::text from public.profiles where id = $1) as profile,
      (select array_agg(authentication_method) from auth.mfa_amr_claims c
        join auth.sessions s on s.id = c.session_id where s.user_id = $1)::text as amr,
      (select array_agg(payload ->> 'action' order by created_at, payload ->> 'action')::text
        from auth.audit_log_entries where payload ->> 'actor_id' = $1::text) as audit`,
    [session.user.id])
    assert.deepEqual(row, { profile: '("Device 7",basic_user)', amr: '{anonymous}',
      audit: '{login,user_signedup}' })
    const next = await refreshed(server, session.refresh_token)
    assert.equal(next.status, 200, next.text)
    assert.equal(claimsOf(next.json.access_token).is_anonymous, true)
  })

  test('an empty address counts as none; every call is a new user', async () => {
    const [a, b] = await Promise.all([anonymous(server, { email: '', phone: '' }), anonymous()])
    assert.notEqual(a.user.id, b.user.id)
  })

  test('works where addresses are confirmed by mail', async () => {
    const strict = await server.beside({ mailer_autoconfirm: 'false', rate_limits: 'off' })
    const session = await anonymous(strict)
    assert.equal((await refreshed(strict, session.refresh_token)).status, 200)
  })

  test('is told in the settings, and can be turned off', async () => {
    const settings = await server.auth('GET', '/settings')
    assert.equal(settings.json.external.anonymous_users, true)
    const off = await server.beside({}, { env: { GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED: 'false' } })
    assert.equal((await off.auth('GET', '/settings')).json.external.anonymous_users, false)
    await refused((version) => off.auth('POST', '/signup', { json: {}, version }), 422,
      'anonymous_provider_disabled', 'Anonymous sign-ins are disabled')
  })

  test('has a limit of its own, and no signup means none', async () => {
    const closed = await server.beside({ disable_signup: true })
    await refused((version) => closed.auth('POST', '/signup', { json: {}, version }), 422,
      'signup_disabled')
    const few = await server.beside({ rate_limits: 'on', rate_limit_anonymous: '2' })
    await anonymous(few)
    await anonymous(few)
    await refused((version) => few.auth('POST', '/signup', { json: {}, version }), 429,
      'over_request_rate_limit')
  })
})
