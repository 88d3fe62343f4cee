// SPDX-License-Identifier: Apache-2.0
// A change of address, from the answer to its mails: who has to agree under which settings, and that
// no token outlives the address that it was sent to.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { email, loggedIn, password, start } from '../lib/basalt.mjs'
import { startMail } from '../lib/mail.mjs'
import { isRefusal, refused } from '../lib/refused.mjs'

const HALF = 'Confirmation link accepted. Please proceed to confirm link sent to the other email'
let mail, server
const nodes = new Map() // "autoconfirm double": a server

before(async () => {
  mail = await startMail()
  const settings = (autoconfirm, double) => ({ smtp_url: mail.url, smtp_max_frequency: '0',
    site_url: 'https://app.example.com', mailer_autoconfirm: String(autoconfirm), secure_email_change: double })
  server = await start({ settings: settings(false, true) })
  for (const autoconfirm of [false, true])
    for (const double of [false, true])
      nodes.set(`${autoconfirm} ${double}`, autoconfirm || !double
        ? await server.beside(settings(autoconfirm, double)) : server)
})

// Somebody whose address is confirmed, logged in.
async function somebody(address = email('old')) {
  const { json } = await server.service('POST', '/admin/users', { json: { email: address, password, email_confirm: true } })
  return { ...await loggedIn(server, { email: address, password }), id: json.id }
}

// They ask for another address: { user, wanted, toNew, toOld (undefined: that one is not asked) }.
async function asked(where = server, { user, double = true, json = {} } = {}) {
  const who = user ?? await somebody()
  const wanted = email('new')
  const answer = await where.auth('PUT', '/user', { token: who.token, json: { email: wanted, ...json } })
  assert.equal(answer.status, 200, answer.text)
  const toNew = await mail.to(wanted)
  return { user: who, wanted, toNew, toOld: double ? await mail.to(who.email) : undefined }
}

const opened = (letter, where = server) => where.call(letter.link.slice(letter.link.indexOf('/auth/v1/')))
const tail = (answer) => Object.fromEntries(new URLSearchParams(new URL(answer.headers.location).hash.slice(1)))
const byCode = (address, { otp }, version = '2024-01-01') => server.auth('POST', '/verify',
  { version, json: { type: 'email_change', email: address, token: otp } })
const row = async (user) => (await server.sql(`select email, email_change as wanted,
  email_change_confirm_status as status, email_change_token_new as new, email_change_token_current as current,
  (select identity_data ->> 'email' from auth.identities where user_id = u.id) as identity,
  (select count(*)::int from auth.one_time_tokens where user_id = u.id) as tokens
  from auth.users u where id = $1`, [user.id]))[0]

const isHalf = (answer) => {
  assert.equal(answer.status, 303)
  assert.deepEqual(tail(answer), { message: HALF, sb: '' })
}

const moved = async (answer, user, wanted) => {
  assert.equal(answer.status, 303)
  assert.equal(tail(answer).type, 'email_change', answer.headers.location)
  assert.ok(tail(answer).access_token)
  assert.deepEqual(await row(user),
    { email: wanted, wanted: '', status: 0, new: '', current: '', identity: wanted, tokens: 0 })
}

describe('autoconfirm × double confirmation', () => {
  test('mails are answered, two of them: both are needed, in either order', async () => {
    for (const order of [['toOld', 'toNew'], ['toNew', 'toOld']]) {
      const a = await asked()
      isHalf(await opened(a[order[0]]))
      const { email: still, status, tokens } = await row(a.user)
      assert.deepEqual([still, status, tokens], [a.user.email, 1, 1])
      assert.equal(tail(await opened(a[order[0]])).error_code, 'otp_expired')
      await moved(await opened(a[order[1]]), a.user, a.wanted)
    }
  })

  test('mails are answered, one of them: the new address alone', async () => {
    const where = nodes.get('false false')
    const a = await asked(where, { double: false })
    await moved(await opened(a.toNew, where), a.user, a.wanted)
    assert.deepEqual(mail.all(a.user.email), [])
  })

  test('confirmed at once, two mails: either is enough', async () => {
    const where = nodes.get('true true')
    for (const one of ['toNew', 'toOld']) {
      const a = await asked(where)
      await moved(await opened(a[one], where), a.user, a.wanted)
      assert.equal(tail(await opened(a[one === 'toNew' ? 'toOld' : 'toNew'], where)).error_code, 'otp_expired')
    }
  })

  test('confirmed at once, one mail: it still is asked for', async () => {
    const where = nodes.get('true false')
    const a = await asked(where, { double: false })
    assert.equal((await row(a.user)).email, a.user.email)
    await moved(await opened(a.toNew, where), a.user, a.wanted)
  })

  test('an anonymous user has no address that could object', async () => {
    const { json } = await server.auth('POST', '/signup', { json: {} })
    const user = { id: json.user.id, token: json.access_token }
    const a = await asked(server, { user, double: false })
    const answer = await opened(a.toNew)
    assert.ok(tail(answer).access_token)
    const { json: now } = await server.auth('GET', '/user', { token: tail(answer).access_token })
    assert.deepEqual([now.email, now.is_anonymous, now.id], [a.wanted, false, user.id])
    assert.deepEqual(now.app_metadata, { provider: 'email', providers: ['email'] })
  })
})

describe('codes', () => {
  test('count for the address that they were sent to', async () => {
    const a = await asked()
    await refused((version) => byCode(a.wanted, a.toOld, version), 403, 'otp_expired', 'Token has expired or is invalid')
    const half = await byCode(a.user.email, a.toOld)
    assert.deepEqual([half.status, half.json], [200, { code: '200', msg: HALF }])
    const whole = await byCode(a.wanted, a.toNew)
    assert.equal(whole.status, 200, whole.text)
    assert.equal(whole.json.user.email, a.wanted)
  })

  test('two who answer at once: a half is counted once, and one session comes of it', async () => {
    const a = await asked()
    const halves = await Promise.all(Array.from({ length: 4 }, () => byCode(a.user.email, a.toOld)))
    assert.equal(halves.filter((one) => one.status === 200).length, 1)
    assert.equal((await row(a.user)).email, a.user.email)
    const both = await asked()
    const answers = await Promise.all([byCode(both.user.email, both.toOld), byCode(both.wanted, both.toNew)])
    assert.deepEqual(answers.map((one) => one.status), [200, 200])
    assert.equal(answers.filter((one) => one.json.access_token).length, 1)
    assert.equal((await row(both.user)).email, both.wanted)
  })
})

describe('tokens die with the address', () => {
  // A recovery link that somebody has in their old mailbox.
  async function recovery(user) {
    assert.equal((await server.auth('POST', '/recover', { json: { email: user.email } })).status, 200)
    return mail.to(user.email)
  }
  const isDead = async (letter, user) => {
    assert.equal(tail(await opened(letter)).error_code, 'otp_expired')
    for (const address of [user.email, (await row(user)).email])
      isRefusal(await server.auth('POST', '/verify', { json: { type: 'recovery', email: address, token: letter.otp } }),
        { status: 403, code: 'otp_expired', version: '2024-01-01' })
  }

  test('that its user has changed', async () => {
    const user = await somebody()
    const letter = await recovery(user)
    const a = await asked(server, { user })
    await opened(a.toOld)
    await moved(await opened(a.toNew), user, a.wanted)
    await isDead(letter, user)
  })

  test('that an administrator has changed, or SQL', async () => {
    const user = await somebody()
    const letter = await recovery(user)
    const answer = await server.service('PUT', `/admin/users/${user.id}`, { json: { email: email('admin') } })
    assert.equal(answer.status, 200, answer.text)
    await isDead(letter, user)
    const other = await somebody()
    const second = await recovery(other)
    await server.sql('update auth.users set email = $1 where id = $2', [email('sql'), other.id])
    await isDead(second, other)
  })

  test('also when the old address is wanted back', async () => {
    const user = await somebody()
    const letter = await recovery(user)
    await server.sql('update auth.users set email = $1 where id = $2', [email('sql'), user.id])
    const back = await server.auth('PUT', '/user', { token: user.token, json: { email: user.email } })
    assert.equal(back.status, 200, back.text)
    await isDead(letter, user)
  })

  test('with a wish that another has replaced', async () => {
    const user = await somebody()
    const first = await asked(server, { user })
    const second = await asked(server, { user })
    for (const letter of [first.toNew, first.toOld])
      assert.equal(tail(await opened(letter)).error_code, 'otp_expired')
    isHalf(await opened(second.toOld))
    await moved(await opened(second.toNew), user, second.wanted)
  })

  test('a half that was given does not count for the next wish', async () => {
    const user = await somebody()
    const first = await asked(server, { user })
    isHalf(await opened(first.toOld))
    const second = await asked(server, { user })
    isHalf(await opened(second.toNew))
    assert.equal((await row(user)).email, user.email)
  })
})

describe('what can come between', () => {
  test('the address was taken meanwhile', async () => {
    const a = await asked()
    await opened(a.toOld)
    await somebody(a.wanted)
    assert.equal(tail(await opened(a.toNew)).error_code, 'email_exists')
    await refused((version) => byCode(a.wanted, a.toNew, version), 422, 'email_exists',
      'A user with this email address has already been registered')
    assert.equal((await row(a.user)).email, a.user.email)
  })

  test('a ban, a deletion', async () => {
    const a = await asked()
    await server.service('PUT', `/admin/users/${a.user.id}`, { json: { ban_duration: '1h' } })
    assert.equal(tail(await opened(a.toOld)).error_code, 'user_banned')
    await server.service('DELETE', `/admin/users/${a.user.id}`)
    assert.equal(tail(await opened(a.toOld)).error_code, 'otp_expired')
  })

  test('links made from an address and a guessed code are no links', async () => {
    const { createHash, createHmac } = await import('node:crypto')
    const user = await somebody()
    await server.auth('POST', '/recover', { json: { email: user.email } })
    const { otp } = await mail.to(user.email)
    const guesses = [createHash('sha224').update(user.email + otp), createHmac('sha256', '').update(user.email + otp)]
    for (const guess of guesses) {
      const token = guess.digest('hex').slice(0, 56)
      assert.equal(tail(await server.call(`/auth/v1/verify?type=recovery&token=${token}`)).error_code, 'otp_expired')
    }
  })

  test('a failing database sends the browser back to the app, which is told so', async () => {
    const a = await asked()
    await server.sql(`create function public.no_change() returns trigger language plpgsql as
      $$ begin raise exception 'secret detail'; end $$`)
    await server.sql('create trigger no_change before update on auth.users for each row execute function public.no_change()')
    try {
      const answer = await opened(a.toOld)
      assert.equal(answer.status, 303)
      assert.deepEqual(tail(answer), { error: 'server_error', error_code: 'unexpected_failure', sb: '',
        error_description: 'Unexpected failure, please check server logs for more information' })
    } finally {
      await server.sql('drop function public.no_change() cascade')
    }
    isHalf(await opened(a.toOld)) // nothing was spent
  })
})
