// SPDX-License-Identifier: Apache-2.0
// The official client's flows by mail, from a real mail server: what it asks for, what a reader opens.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { createClient, isAuthApiError } from '@supabase/supabase-js'
import { email, password, start } from '../lib/basalt.mjs'
import { claimsOf } from '../lib/jwt.mjs'
import { startMail } from '../lib/mail.mjs'

const site = 'https://app.example.com'
let server, mail

before(async () => {
  mail = await startMail()
  server = await start({ settings: { smtp_url: mail.url, mailer_autoconfirm: 'false', site_url: site,
    uri_allow_list: `${site}/**`, smtp_max_frequency: '0' } })
})

const client = (more = {}, where = server) => createClient(where.api, where.keys.anon, {
  auth: { autoRefreshToken: false, persistSession: false, detectSessionInUrl: false, ...more },
}).auth

// What a call gave, or its error thrown.
async function ok(call) {
  const { data, error } = await call
  assert.equal(error, null, String(error))
  return data
}

async function fails(call, status, code, message) {
  const { error } = await call
  assert.ok(isAuthApiError(error), String(error))
  assert.deepEqual([error.status, error.code], [status, code], error.message)
  if (message) assert.match(error.message, message)
}

// As a browser opens a link: where it leads, and what it brings along.
async function opened(link) {
  const answer = await fetch(link, { redirect: 'manual' })
  assert.equal(answer.status, 303)
  const url = new URL(answer.headers.get('location'))
  const fragment = Object.fromEntries(new URLSearchParams(url.hash.slice(1)))
  return { at: url.origin + url.pathname, query: Object.fromEntries(url.searchParams), fragment }
}

// The app behind the link: the session of the fragment becomes the client's own.
async function landed(auth, link) {
  const { fragment } = await opened(link)
  const { access_token, refresh_token } = fragment
  assert.ok(access_token, JSON.stringify(fragment))
  return ok(auth.setSession({ access_token, refresh_token }))
}

async function signUp(auth = client(), options = {}) {
  const address = email('flow')
  const data = await ok(auth.signUp({ email: address, password, options }))
  return { auth, address, ...data }
}

async function confirmed(auth = client()) {
  const made = await signUp(auth)
  const { otp } = await mail.to(made.address)
  await ok(auth.verifyOtp({ email: made.address, token: otp, type: 'email' }))
  return made
}

describe('implicit', () => {
  test('signUp, the link of its mail, and a session', async () => {
    const { auth, address, user, session } = await signUp(client(),
      { data: { name: 'Ada' }, emailRedirectTo: `${site}/welcome` })
    assert.equal(session, null)
    assert.equal(user.identities.length, 1)
    await fails(auth.signInWithPassword({ email: address, password }), 400, 'email_not_confirmed',
      /^Email not confirmed$/)
    const { link } = await mail.to(address)
    assert.equal(new URL(link).searchParams.get('redirect_to'), `${site}/welcome`)
    const { user: now } = await landed(auth, link)
    assert.deepEqual([now.id, now.user_metadata.name], [user.id, 'Ada'])
    assert.ok(now.email_confirmed_at)
    await ok(client().signInWithPassword({ email: address, password }))
    const again = await opened(link)
    assert.equal(again.at, `${site}/welcome`)
    assert.equal(again.fragment.error_code, 'otp_expired')
  })

  test('signUp of a taken address looks like any other, without identities', async () => {
    const { address } = await confirmed()
    const { user, session } = await ok(client().signUp({ email: address, password: 'of-someone-else' }))
    assert.equal(session, null)
    assert.deepEqual(user.identities, [])
    assert.equal(mail.all(address).length, 1)
  })

  test('resend: the first link is void, the second counts', async () => {
    const { auth, address } = await signUp()
    const first = await mail.to(address)
    await ok(auth.resend({ type: 'signup', email: address, options: { emailRedirectTo: `${site}/again` } }))
    const second = await mail.to(address)
    assert.equal((await opened(first.link)).fragment.error_code, 'otp_expired')
    assert.equal((await opened(second.link)).at, `${site}/again`)
  })

  test('signInWithOtp: a newcomer by code, then by link, then nobody by shouldCreateUser', async () => {
    const auth = client(), address = email('flow')
    await ok(auth.signInWithOtp({ email: address, options: { data: { plan: 'x' } } }))
    const { otp } = await mail.to(address)
    await fails(auth.verifyOtp({ email: address, token: otp === '111111' ? '222222' : '111111', type: 'email' }),
      403, 'otp_expired', /^Token has expired or is invalid$/)
    const { session, user } = await ok(auth.verifyOtp({ email: address, token: otp, type: 'email' }))
    assert.equal(user.user_metadata.plan, 'x')
    assert.equal(claimsOf(session.access_token).amr[0].method, 'otp')
    await ok(auth.signInWithOtp({ email: address, options: { shouldCreateUser: false } }))
    assert.equal((await landed(client(), (await mail.to(address)).link)).user.id, user.id)
    await fails(auth.signInWithOtp({ email: email('none'), options: { shouldCreateUser: false } }), 422,
      'otp_disabled', /^Signups not allowed for otp$/)
  })

  test('resetPasswordForEmail, and the new password', async () => {
    const { address } = await confirmed()
    const auth = client()
    await ok(auth.resetPasswordForEmail(address, { redirectTo: `${site}/reset` }))
    const { link } = await mail.to(address)
    assert.equal(new URL(link).searchParams.get('type'), 'recovery')
    await landed(auth, link)
    await ok(auth.updateUser({ password: 'one-that-i-know' }))
    await ok(client().signInWithPassword({ email: address, password: 'one-that-i-know' }))
    await fails(client().signInWithPassword({ email: address, password }), 400, 'invalid_credentials')
    await ok(client().resetPasswordForEmail(email('none')))
  })

  test('verifyOtp by token_hash, as server-rendered apps do', async () => {
    const { address, user } = await signUp()
    const token_hash = new URL((await mail.to(address)).link).searchParams.get('token')
    const { session } = await ok(client().verifyOtp({ token_hash, type: 'email' }))
    assert.equal(session.user.id, user.id)
    await fails(client().verifyOtp({ token_hash, type: 'email' }), 403, 'otp_expired',
      /^Email link is invalid or has expired$/)
  })

  test('a change of address asks both, and holds when both have answered', async () => {
    const { auth, address, user } = await confirmed()
    const wanted = email('flow')
    const { user: asking } = await ok(auth.updateUser({ email: wanted }, { emailRedirectTo: `${site}/moved` }))
    assert.deepEqual([asking.email, asking.new_email], [address, wanted])
    const [first, second] = [await mail.to(address), await mail.to(wanted)]
    const half = await opened(first.link)
    assert.equal(half.at, `${site}/moved`)
    assert.match(half.fragment.message, /^Confirmation link accepted\. Please proceed/)
    assert.equal((await ok(auth.getUser())).user.email, address)
    const { user: moved } = await landed(client(), second.link)
    assert.deepEqual([moved.id, moved.email, moved.new_email], [user.id, wanted, undefined])
    await ok(client().signInWithPassword({ email: wanted, password }))
    await fails(client().signInWithPassword({ email: address, password }), 400, 'invalid_credentials')
  })

  test('a change of address by codes', async () => {
    const { auth, address } = await confirmed()
    const wanted = email('flow')
    await ok(auth.updateUser({ email: wanted }))
    const [first, second] = [await mail.to(address), await mail.to(wanted)]
    const half = await client().verifyOtp({ email: address, token: first.otp, type: 'email_change' })
    assert.equal(half.error, null)
    assert.equal(half.data.session, null)
    await ok(auth.resend({ type: 'email_change', email: address })) // both are asked anew
    const [third, fourth] = [await mail.to(address), await mail.to(wanted)]
    await fails(client().verifyOtp({ email: wanted, token: second.otp, type: 'email_change' }), 403, 'otp_expired')
    await ok(client().verifyOtp({ email: wanted, token: fourth.otp, type: 'email_change' }))
    const { user } = await ok(client().verifyOtp({ email: address, token: third.otp, type: 'email_change' }))
    assert.equal(user.email, wanted)
  })
})

describe('PKCE', () => {
  const pkce = () => client({ flowType: 'pkce' })

  async function exchanged(auth, link) {
    const { query, fragment } = await opened(link)
    assert.deepEqual(Object.keys(fragment), [])
    return ok(auth.exchangeCodeForSession(query.code))
  }

  test('signUp, signInWithOtp, resetPasswordForEmail, a change of address', async () => {
    const { auth, address, user } = await signUp(pkce(), { emailRedirectTo: `${site}/in?next=%2F` })
    const { session } = await exchanged(auth, (await mail.to(address)).link)
    assert.equal(session.user.id, user.id)
    await ok(auth.signInWithOtp({ email: address }))
    await exchanged(auth, (await mail.to(address)).link)
    await ok(auth.resetPasswordForEmail(address))
    const reset = await exchanged(auth, (await mail.to(address)).link)
    assert.equal(reset.session.user.id, user.id)
    const wanted = email('flow')
    await ok(auth.updateUser({ email: wanted }))
    const half = await opened((await mail.to(address)).link)
    assert.match(half.query.message, /^Confirmation link accepted/)
    const moved = await exchanged(auth, (await mail.to(wanted)).link)
    assert.equal(moved.user.email, wanted)
  })

  test('the code is no use to another client, nor twice', async () => {
    const { auth, address } = await signUp(pkce())
    const { code } = (await opened((await mail.to(address)).link)).query
    const thief = pkce()
    await ok(thief.signInWithOtp({ email: email('flow') })) // has a verifier of its own
    await fails(thief.exchangeCodeForSession(code), 400, 'bad_code_verifier')
    await ok(auth.exchangeCodeForSession(code))
    for (const [tried, status, name] of [[code, 400, 'flow_state_already_used'],
      ['no-such-code', 404, 'flow_state_not_found']]) {
      await ok(thief.signInWithOtp({ email: email('flow') })) // its verifier is gone with each try
      await fails(thief.exchangeCodeForSession(tried), status, name)
    }
  })
})

describe('links that show a page first', () => {
  // What a browser without scripts sends when the page's only button is pressed.
  async function pressed(link) {
    const page = await fetch(link)
    assert.equal(page.status, 200)
    const html = await page.text()
    const form = Object.fromEntries([...html.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)">/g)]
      .map(([, name, value]) => [name, value.replaceAll('&amp;', '&')]))
    const [, action] = /<form method="post" action="([^"]+)">/.exec(html)
    return fetch(new URL(action, link), { method: 'POST', body: new URLSearchParams(form), redirect: 'manual' })
  }

  test('a mail scanner opens them, their reader comes later', async () => {
    const paged = await server.beside({ smtp_url: mail.url, mailer_autoconfirm: 'false', site_url: site,
      uri_allow_list: `${site}/**`, smtp_max_frequency: '0', mail_link_confirm: 'page' })
    for (const flowType of ['implicit', 'pkce']) {
      const auth = client({ flowType }, paged), address = email('flow')
      const { user } = await ok(auth.signUp({ email: address, password,
        options: { emailRedirectTo: `${site}/in?a=1&b=2` } }))
      const { link } = await mail.to(address)
      for (const method of ['HEAD', 'GET', 'GET']) await fetch(link, { method, redirect: 'manual' })
      const answer = await pressed(link)
      assert.equal(answer.status, 303)
      const url = new URL(answer.headers.get('location'))
      assert.deepEqual([url.origin, url.pathname, url.searchParams.get('b')], [site, '/in', '2'])
      const found = new URLSearchParams(url.hash.slice(1))
      const data = flowType === 'pkce' ? await ok(auth.exchangeCodeForSession(url.searchParams.get('code')))
        : await ok(auth.setSession({ access_token: found.get('access_token'), refresh_token: found.get('refresh_token') }))
      assert.equal(data.user.id, user.id)
      const again = new URL((await pressed(link)).headers.get('location'))
      assert.equal(new URLSearchParams(again.hash.slice(1)).get('error_code'), 'otp_expired')
    }
  })
})
