// SPDX-License-Identifier: Apache-2.0
// PKCE: links that give a code instead of a session, and what the code is worth.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { before, describe, test } from 'node:test'
import { email, password, start } from '../lib/basalt.mjs'
import { claimsOf } from '../lib/jwt.mjs'
import { startMail } from '../lib/mail.mjs'
import { refused } from '../lib/refused.mjs'

let server, mail

before(async () => {
  mail = await startMail()
  server = await start({ settings: { rate_limits: 'off', smtp_url: mail.url, smtp_max_frequency: '0',
    site_url: 'https://app.example.com' } })
})

function pair(method = 's256') {
  const verifier = randomBytes(40).toString('base64url')
  const challenge = method === 'plain' ? verifier : createHash('sha256').update(verifier).digest('base64url')
  return { verifier, sent: { code_challenge: challenge, code_challenge_method: method } }
}

const exchange = (auth_code, code_verifier, version = '2024-01-01') =>
  server.auth('POST', '/token?grant_type=pkce', { json: { auth_code, code_verifier }, version })

async function codeFor(path, json, where = server) {
  const address = json.email
  const answer = await where.auth('POST', path, { json })
  assert.equal(answer.status, 200, answer.text)
  const { link } = await mail.to(address)
  assert.match(new URL(link).searchParams.get('token'), /^pkce_[0-9a-f]{56}$/)
  const opened = await where.call(link.replace(where.api, ''))
  assert.equal(opened.status, 303)
  const url = new URL(opened.headers.location)
  assert.equal(url.hash, '')
  assert.deepEqual([...url.searchParams.keys()], ['code'])
  return url.searchParams.get('code')
}

const newcomer = async (more = {}) => {
  const p = pair()
  const address = email('pkce')
  const code = await codeFor('/signup', { email: address, password, ...p.sent, ...more })
  return { ...p, address, code }
}

describe('a code', () => {
  test('of a signup is worth one session, for whoever has the verifier', async () => {
    const { code, verifier, address } = await newcomer()
    await refused((version) => exchange(code, pair().verifier, version), 400, 'bad_code_verifier')
    const answer = await exchange(code, verifier)
    assert.equal(answer.status, 200, answer.text)
    assert.equal(answer.json.user.email, address)
    assert.ok(answer.json.user.email_confirmed_at)
    assert.equal(claimsOf(answer.json.access_token).amr[0].method, 'email/signup')
    await refused((version) => exchange(code, verifier, version), 400, 'flow_state_already_used')
  })

  test('of a sign-in link and of a recovery, challenges in both methods', async () => {
    const { code, verifier, address } = await newcomer()
    assert.equal((await exchange(code, verifier)).status, 200)
    for (const [path, method, amr] of [['/otp', 's256', 'magiclink'], ['/magiclink', 'plain', 'magiclink'],
      ['/recover', 'S256', 'recovery']]) {
      const p = pair(method)
      const answer = await exchange(await codeFor(path, { email: address, ...p.sent }), p.verifier)
      assert.equal(answer.status, 200, answer.text)
      assert.equal(claimsOf(answer.json.access_token).amr[0].method, amr)
    }
  })

  test('is exchanged once, however many try at once', async () => {
    const { code, verifier } = await newcomer()
    const answers = await Promise.all(Array.from({ length: 8 }, () => exchange(code, verifier)))
    assert.equal(answers.filter((a) => a.status === 200).length, 1)
    for (const a of answers) if (a.status !== 200) assert.equal(a.json.code, 'flow_state_already_used')
  })

  test('that nobody gave out, or is missing', async () => {
    await refused((version) => exchange('no-such-code', pair().verifier, version), 404, 'flow_state_not_found')
    for (const json of [{}, { auth_code: 'x' }, { code_verifier: 'x' }])
      await refused((version) => server.auth('POST', '/token?grant_type=pkce', { json, version }), 400,
        'validation_failed')
  })

  test('ends five minutes after its flow began, of a sign-in link after it was opened', async () => {
    const { code, verifier, address } = await newcomer()
    const age = (column) => server.sql(`update auth.flow_state set ${column} = now() - interval '301 s'
      where user_id = (select id from auth.users where email = $1)`, [address])
    await age('created_at')
    await refused((version) => exchange(code, verifier, version), 422, 'flow_state_expired')
    const p = pair()
    const link = await codeFor('/otp', { email: address, ...p.sent })
    await age('created_at')
    assert.equal((await exchange(link, p.verifier)).status, 200)
    const late = pair()
    const opened = await codeFor('/otp', { email: address, ...late.sent })
    await age('auth_code_issued_at')
    await refused((version) => exchange(opened, late.verifier, version), 422, 'flow_state_expired')
  })

  test('gives no session to who was banned meanwhile', async () => {
    const { code, verifier, address } = await newcomer()
    await server.sql(`update auth.users set banned_until = now() + interval '1 h' where email = $1`, [address])
    await refused((version) => exchange(code, verifier, version), 400, 'user_banned')
  })

  test('the number in the mail of a PKCE flow gives a session by POST', async () => {
    const p = pair()
    const address = email('pkce')
    await server.auth('POST', '/otp', { json: { email: address, ...p.sent } })
    const { otp } = await mail.to(address)
    const answer = await server.auth('POST', '/verify', { json: { type: 'email', email: address, token: otp } })
    assert.equal(answer.status, 200, answer.text)
  })

  test('type email is whatever the mail was; without its flow there is no code', async () => {
    const asked = async () => {
      const address = email('pkce')
      await server.auth('POST', '/signup', { json: { email: address, password, ...pair().sent } })
      return { address, link: (await mail.to(address)).link.replace(server.api, '').replace('type=signup', 'type=email') }
    }
    const { link } = await asked()
    assert.ok(new URL((await server.call(link)).headers.location).searchParams.get('code'))
    const gone = await asked()
    await server.sql(`delete from auth.flow_state where user_id = (select id from auth.users where email = $1)`,
      [gone.address])
    const { searchParams } = new URL((await server.call(gone.link)).headers.location)
    assert.deepEqual([searchParams.get('error'), searchParams.get('error_code')],
      ['invalid_request', 'flow_state_not_found'])
  })

  test('errors of a PKCE link are in query and fragment', async () => {
    const answer = await server.call('/auth/v1/verify?type=signup&token=pkce_00')
    const url = new URL(answer.headers.location)
    for (const part of [url.searchParams, new URLSearchParams(url.hash.slice(1))])
      assert.equal(part.get('error_code'), 'otp_expired')
  })
})
