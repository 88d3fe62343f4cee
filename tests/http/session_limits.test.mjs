// SPDX-License-Identifier: Apache-2.0
// How long a session goes on, and how many a user has: looked at when it is refreshed (GoTrue).
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { loggedIn, refreshed, signedUp, start } from '../lib/basalt.mjs'
import { claimsOf } from '../lib/jwt.mjs'
import { refused } from '../lib/refused.mjs'

let server

before(async () => {
  server = await start()
})

const refresh = (to, token, version) => to.auth('POST', '/token?grant_type=refresh_token', {
  json: { refresh_token: token }, version })
const expired = (to, token, message) =>
  refused((version) => refresh(to, token, version), 400, 'session_expired', message)
const sessionOf = (token) => claimsOf(token).session_id
const age = (column, token, seconds) => server.sql(`update auth.sessions
  set ${column} = ${column} - make_interval(secs => $2) where id = $1`, [sessionOf(token), seconds])
const giveFactor = (user, status = 'verified') => server.sql(`insert into auth.mfa_factors
  (id, user_id, factor_type, status, friendly_name, created_at, updated_at, secret)
  values (gen_random_uuid(), $1, 'totp', $2, 'phone', now(), now(), 'x')`, [user.id, status])

describe('a session ends', () => {
  test('after its timebox, however often it is refreshed', async () => {
    const to = await server.beside({ session_timebox: '1h' })
    const user = await signedUp(to)
    await age('created_at', user.token, 3500)
    const next = await refreshed(to, user.refresh)
    assert.equal(next.status, 200, next.text)
    await age('created_at', user.token, 101)
    await expired(to, next.json.refresh_token, 'Invalid Refresh Token: Session Expired')
    await to.stop()
  })

  test('at its not_after', async () => {
    const user = await signedUp(server)
    await server.sql(`update auth.sessions set not_after = now() - interval '1 second' where id = $1`,
      [sessionOf(user.token)])
    await expired(server, user.refresh, 'Invalid Refresh Token: Session Expired')
    await server.sql(`update auth.sessions set not_after = now() + interval '1 hour' where id = $1`,
      [sessionOf(user.token)])
    assert.equal((await refreshed(server, user.refresh)).status, 200)
  })

  test('when it was not refreshed for long', async () => {
    const to = await server.beside({ session_inactivity: '1h' })
    const user = await signedUp(to)
    const next = await refreshed(to, user.refresh)
    await age('refreshed_at', user.token, 3500)
    const third = await refreshed(to, next.json.refresh_token)
    assert.equal(third.status, 200, third.text)
    await age('refreshed_at', user.token, 3601)
    await expired(to, third.json.refresh_token, 'Invalid Refresh Token: Session Expired (Inactivity)')
    await to.stop()
  })

  test('at aal1 for a user with a second factor; their tokens never outlive it', async () => {
    const to = await server.beside({ session_low_aal: '10m' })
    const words = 'Invalid Refresh Token: Session Expired (Low AAL: User Needs MFA Verification)'
    const plain = await signedUp(to)
    const user = await signedUp(to)
    assert.equal(user.session.expires_in, 3600)
    await giveFactor(user, 'unverified')
    const still = await refreshed(to, user.refresh)
    assert.equal(still.json.expires_in, 3600, 'an unverified factor is none')
    await server.sql(`update auth.mfa_factors set status = 'verified' where user_id = $1`, [user.id])
    await age('created_at', user.token, 300)
    const next = await refreshed(to, still.json.refresh_token)
    assert.equal(next.status, 200, next.text)
    assert.ok(next.json.expires_in <= 300 && next.json.expires_in > 270, `${next.json.expires_in}`)
    assert.equal(claimsOf(next.json.access_token).exp, next.json.expires_at)
    const again = await loggedIn(to, user)
    assert.ok(again.session.expires_in <= 600)
    await age('created_at', user.token, 301)
    await expired(to, next.json.refresh_token, words)
    await server.sql(`update auth.sessions set aal = 'aal2' where id = $1`, [sessionOf(user.token)])
    const high = await refreshed(to, next.json.refresh_token)
    assert.equal(high.status, 200, high.text)
    assert.equal(claimsOf(high.json.access_token).aal, 'aal2')
    assert.equal(high.json.expires_in, 3600)
    await age('created_at', plain.token, 3000)
    assert.equal((await refreshed(to, plain.refresh)).json.expires_in, 3600)
    await to.stop()
  })
})

describe('one session a user', () => {
  const words = 'Invalid Refresh Token: Session Expired (Revoked by Newer Login)'
  const tag = (token, value) => server.sql('update auth.sessions set tag = $2 where id = $1',
    [sessionOf(token), value])

  test('the newest goes on; what has expired does not count', async () => {
    const to = await server.beside({ session_single_per_user: 'true', session_timebox: '24h' })
    const first = await signedUp(to)
    const other = await signedUp(to) // another user's session is nobody's concern
    const second = await loggedIn(to, first)
    await expired(to, first.refresh, words)
    const next = await refreshed(to, second.refresh)
    assert.equal(next.status, 200, next.text)
    assert.equal((await refreshed(to, other.refresh)).status, 200)
    await expired(to, first.refresh, words)
    await age('created_at', second.token, 24 * 3600 + 1)
    const back = await refreshed(to, first.refresh)
    assert.equal(back.status, 200, back.text)
    await to.stop()
  })

  test('one of each tag; an unknown tag is the first', async () => {
    const to = await server.beside({ session_single_per_user: 'true', session_tags: 'web,mobile' })
    const web = await signedUp(to)
    const mobile = await loggedIn(to, web)
    await tag(mobile.token, 'mobile')
    const odd = await loggedIn(to, web)
    await tag(odd.token, 'toaster')
    await expired(to, web.refresh, words)
    for (const session of [mobile, odd])
      assert.equal((await refreshed(to, session.refresh)).status, 200)
    await to.stop()
  })

  test('off, all go on', async () => {
    const first = await signedUp(server)
    const second = await loggedIn(server, first)
    for (const user of [first, second])
      assert.equal((await refreshed(server, user.refresh)).status, 200)
  })
})

describe('aal and amr', () => {
  const amr = (token) => claimsOf(token).amr.map((a) => a.method)

  test('how the session was opened, newest first, the same after a refresh', async () => {
    const user = await signedUp(server)
    assert.deepEqual(amr(user.token), ['password'])
    await server.sql(`insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
      values (gen_random_uuid(), $1, now(), now() + interval '1 second', 'totp')`, [sessionOf(user.token)])
    const next = await refreshed(server, user.refresh)
    assert.deepEqual(amr(next.json.access_token), ['totp', 'password'])
    const anonymous = await server.auth('POST', '/signup', { json: {} })
    assert.deepEqual(amr(anonymous.json.access_token), ['anonymous'])
    assert.equal(claimsOf(anonymous.json.access_token).aal, 'aal1')
  })
})
