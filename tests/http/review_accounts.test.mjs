// SPDX-License-Identifier: Apache-2.0
// What a hostile reading of mails, links, providers and codes found, each finding kept as a test.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { before, describe, test } from 'node:test'
import { email, password, start } from '../lib/basalt.mjs'
import { startMail } from '../lib/mail.mjs'
import { provider } from '../lib/provider.mjs'

let server, mail, google

before(async () => {
  google = await provider()
  mail = await startMail()
  server = await start({ settings: { smtp_url: mail.url, site_url: 'https://app.example.com',
    smtp_max_frequency: '0', anonymous_users: true, google_enabled: true, google_client_id: 'app-web',
    google_keys_url: google.url, password_reauthentication: true } })
})

const post = (path, json, more) => server.auth('POST', path, { json, ...more })
const opened = (link) => server.call(link.replace(server.api, ''))
const login = (address, word) => post('/token?grant_type=password', { email: address, password: word })
const pkce = () => {
  const verifier = 'v'.repeat(43)
  return { verifier, ask: { code_challenge_method: 's256',
    code_challenge: createHash('sha256').update(verifier).digest('base64url') } }
}

async function confirmed() {
  const address = email('review')
  assert.equal((await post('/signup', { email: address, password })).status, 200)
  const { otp } = await mail.to(address)
  const answer = await post('/verify', { type: 'signup', email: address, token: otp })
  assert.equal(answer.status, 200, answer.text)
  return { address, id: answer.json.user.id, session: answer.json }
}

describe('requests that must not stop the server', () => {
  test('a nonce of somebody who has neither address nor number', async () => {
    const limited = await server.beside({ rate_limits: 'on', password_reauthentication: true, anonymous_users: true })
    const { json } = await post('/signup', {})
    await server.sql(`update auth.sessions set created_at = now() - interval '2 days' where user_id = $1`, [json.user.id])
    const answer = await limited.auth('PUT', '/user', { token: json.access_token,
      json: { email: email('nonce'), password: 'another-word-9', nonce: '123456' } })
    assert.equal(answer.status, 422, answer.text)
    assert.equal(answer.json.code, 'reauthentication_not_valid')
    assert.equal((await limited.auth('GET', '/health')).status, 200)
    await limited.stop()
  })
})

describe('rows without a password', () => {
  test('null is as good as empty: codes, links and providers open sessions', async () => {
    const { address, id } = await confirmed()
    await server.sql('update auth.users set encrypted_password = null where id = $1', [id])
    assert.equal((await post('/otp', { email: address })).status, 200)
    const { otp } = await mail.to(address)
    const answer = await post('/verify', { type: 'email', email: address, token: otp })
    assert.equal(answer.status, 200, answer.text)
    const by = await post('/token?grant_type=id_token', { provider: 'google',
      id_token: google.token({ sub: `7${Date.now()}`, email: address, email_verified: true }) })
    assert.equal(by.status, 200, by.text)
  })
})

describe('addresses that somebody else registered first', () => {
  test('an invitation is accepted without the stranger\'s password', async () => {
    const address = email('hijack')
    await post('/signup', { email: address, password: 'strangers-own-1' })
    await mail.to(address)
    assert.equal((await server.service('POST', '/invite', { json: { email: address } })).status, 200)
    const { link } = await mail.to(address)
    assert.match((await opened(link)).headers.location, /access_token=/)
    assert.equal((await login(address, 'strangers-own-1')).json.code, 'invalid_credentials')
  })

  test('so is a recovery', async () => {
    const address = email('hijack')
    await post('/signup', { email: address, password: 'strangers-own-1' })
    await mail.to(address)
    assert.equal((await post('/recover', { email: address })).status, 200)
    const { link } = await mail.to(address)
    assert.match((await opened(link)).headers.location, /access_token=/)
    assert.equal((await login(address, 'strangers-own-1')).json.code, 'invalid_credentials')
  })

  test('what was confirmed without a mail opens for its owner alone', async () => {
    const lax = await server.beside({ mailer_autoconfirm: true, google_enabled: true,
      google_client_id: 'app-web', google_keys_url: google.url })
    const address = email('hijack')
    const stranger = await lax.auth('POST', '/signup', { json: { email: address, password: 'strangers-own-1' } })
    assert.ok(stranger.json.access_token, stranger.text)
    const owner = await lax.auth('POST', '/token?grant_type=id_token', { json: { provider: 'google',
      id_token: google.token({ sub: `8${Date.now()}`, email: address, email_verified: true }) } })
    assert.equal(owner.status, 200, owner.text)
    assert.equal(owner.json.user.id, stranger.json.user.id)
    const back = await lax.auth('POST', '/token?grant_type=password', { json: { email: address, password: 'strangers-own-1' } })
    assert.equal(back.json.code, 'invalid_credentials')
    assert.equal((await lax.auth('GET', '/user', { token: stranger.json.access_token })).status, 403)
    await lax.stop()
  })
})

describe('codes', () => {
  test('one that a link gave out ends with the password that it was given out under', async () => {
    const { address, session } = await confirmed()
    const { verifier, ask } = pkce()
    assert.equal((await post('/otp', { email: address, ...ask })).status, 200)
    const { link } = await mail.to(address)
    const code = new URL((await opened(link)).headers.location).searchParams.get('code')
    assert.ok(code)
    const changed = await server.auth('PUT', '/user', { token: session.access_token, json: { password: 'a-newer-word-5' } })
    assert.equal(changed.status, 200, changed.text)
    const late = await post('/token?grant_type=pkce', { auth_code: code, code_verifier: verifier })
    assert.equal(late.status, 404, late.text)
    assert.equal(late.json.code, 'flow_state_not_found')
  })
})

describe('mails', () => {
  test('what a stranger put into metadata is text', async () => {
    const address = email('html')
    await post('/signup?redirect_to=https://evil.example.com/', { email: address, password, data: { name: '<img src=x onerror=1>' } })
    const letter = await mail.to(address)
    assert.doesNotMatch(letter.html, /<img|evil\.example/)
  })
})
