// SPDX-License-Identifier: Apache-2.0
// PUT /auth/v1/user and GET /auth/v1/reauthenticate: what a user may change about themselves.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { email, loggedIn, password, refreshed, signedUp, start } from '../lib/basalt.mjs'
import { startMail } from '../lib/mail.mjs'
import { refused } from '../lib/refused.mjs'

let server, mail, strict

before(async () => {
  mail = await startMail()
  server = await start({ settings: { smtp_url: mail.url, mailer_autoconfirm: 'true',
    mailer_notifications_password_changed_enabled: true } })
  strict = await server.beside({ smtp_url: mail.url, mailer_autoconfirm: 'true',
    password_reauthentication: true, password_require_current: true })
})

const put = (user, json, { where = server, ...more } = {}) =>
  where.auth('PUT', '/user', { token: user.token, json, ...more })
const changed = async (user, json, more) => {
  const answer = await put(user, json, more)
  assert.equal(answer.status, 200, answer.text)
  return answer.json
}
const get = async (user) => (await server.auth('GET', '/user', { token: user.token })).json
const login = (address, word) => server.auth('POST', '/token?grant_type=password',
  { json: { email: address, password: word } })
const anonymous = async (where = server, data = {}) => {
  const { json } = await where.auth('POST', '/signup', { json: { data } })
  return { id: json.user.id, token: json.access_token, refresh: json.refresh_token }
}
const age = (user, what) => server.sql(`update auth.users set ${what} = now() - interval '1 hour'
  where id = $1`, [user.id])
const oldSession = (user) => server.sql(`update auth.sessions set created_at = now() - interval '25 hours'
  where user_id = $1`, [user.id])
const column = async (user, name) =>
  (await server.sql(`select ${name} as x from auth.users where id = $1`, [user.id]))[0].x

describe('data', () => {
  test('is merged key by key, null deletes; the answer and GET /user show it', async () => {
    const user = await signedUp(server, { data: { a: 1, b: { deep: 1 }, c: 'x' } })
    const { user_metadata: before } = user.session.user
    const shown = await changed(user, { data: { b: { other: 2 }, c: null, d: [1] } })
    const { c, ...rest } = before
    assert.equal(c, 'x')
    assert.deepEqual(shown.user_metadata, { ...rest, b: { other: 2 }, d: [1] })
    assert.deepEqual(await get(user), shown)
    const next = await refreshed(server, user.refresh)
    assert.deepEqual(next.json.user.user_metadata, shown.user_metadata)
  })

  test('an empty body, unknown fields and nulls change nothing but updated_at', async () => {
    const user = await signedUp(server)
    const { updated_at: ignored, ...same } = await get(user)
    for (const json of [{}, { id: crypto.randomUUID(), role: 'service_role', banned_until: null },
      { data: null, password: null, email: null, app_metadata: null }, { email: user.email }]) {
      const { updated_at: at, ...shown } = await changed(user, json)
      assert.deepEqual(shown, same)
      assert.ok(at >= ignored)
    }
  })

  test('that fits into no token is refused, and not written', async () => {
    const user = await signedUp(server)
    await refused((version) => put(user, { data: { pad: 'x'.repeat(9000) } }, { version }), 422,
      'validation_failed', /^User metadata is too large/)
    assert.equal((await get(user)).user_metadata.pad, undefined)
    await refused((version) => put(user, { data: [] }, { version }), 400, 'validation_failed')
    await refused((version) => put(user, undefined, { body: '{', version }), 400, 'bad_json')
  })

  test('app_metadata is the administrators\'', async () => {
    const user = await signedUp(server)
    await refused((version) => put(user, { app_metadata: { plan: 'gold' } }, { version }), 403,
      'not_admin', 'Updating app_metadata requires admin privileges')
    await server.service('PUT', `/admin/users/${user.id}`, { json: { role: 'supabase_admin' } })
    const admin = await loggedIn(server, user)
    const shown = await changed(admin, { app_metadata: { plan: 'gold' } })
    assert.deepEqual(shown.app_metadata, { provider: 'email', providers: ['email'], plan: 'gold' })
  })

  test('audit rows', async () => {
    const user = await signedUp(server)
    await changed(user, { data: { a: 1 }, password: 'another-word' })
    const rows = await server.sql(`select name from basalt.audit_event where actor_id = $1
      and name like 'user_%' order by name`, [user.id])
    assert.deepEqual(rows.map((r) => r.name), ['user_modified', 'user_signedup', 'user_updated_password'])
  })
})

describe('password', () => {
  test('the new one counts, other sessions end, this one stays, mails\' tokens die', async () => {
    const user = await signedUp(server)
    const other = await loggedIn(server, user)
    await server.sql(`update auth.users set recovery_token = $1 where id = $2`, [crypto.randomUUID(), user.id])
    await server.sql(`insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to)
      values (gen_random_uuid(), $1, 'recovery_token', 'x', 'y')`, [user.id])
    await changed(user, { password: 'a-new-word' })
    assert.equal((await login(user.email, password)).status, 400)
    assert.equal((await login(user.email, 'a-new-word')).status, 200)
    assert.equal((await server.auth('GET', '/user', { token: user.token })).status, 200)
    assert.equal((await refreshed(server, user.refresh)).status, 200)
    await refused((version) => server.auth('GET', '/user', { token: other.token, version }), 403,
      'session_not_found')
    assert.equal((await refreshed(server, other.refresh)).status, 400)
    assert.equal(await column(user, 'recovery_token'), '')
    assert.deepEqual(await server.sql('select 1 from auth.one_time_tokens where user_id = $1', [user.id]), [])
    const letter = await mail.to(user.email)
    assert.equal(letter.subject, 'Your password was changed')
  })

  test('the same, weak and too long ones', async () => {
    const user = await signedUp(server)
    await refused((version) => put(user, { password }, { version }), 422, 'same_password',
      'New password should be different from the old password.')
    for (const word of ['', 'short'])
      await refused((version) => put(user, { password: word }, { version }), 422, 'weak_password',
        'Password should be at least 6 characters.')
    await refused((version) => put(user, { password: 'x'.repeat(4097) }, { version }), 400,
      'validation_failed', /password/)
    await refused((version) => put(user, { password: 7 }, { version }), 400, 'validation_failed')
    assert.equal((await login(user.email, password)).status, 200)
  })

  test('the present one is asked for where that is set, and never believed when wrong', async () => {
    const user = await signedUp(server)
    const send = (json) => (version) => put(user, json, { where: strict, version })
    await refused(send({ password: 'a-new-word' }), 400, 'current_password_required',
      'Current password required when setting new password.')
    await refused(send({ password: 'a-new-word', current_password: 'wrong' }), 400,
      'current_password_invalid')
    await refused((version) => put(user, { password: 'a-new-word', current_password: 'wrong' },
      { version }), 400, 'current_password_invalid')
    await refused(send({ password, current_password: password }), 422, 'same_password')
    await changed(user, { password: 'a-new-word', current_password: password }, { where: strict })
    assert.equal((await login(user.email, 'a-new-word')).status, 200)
  })

  test('not of a session that a mail opened', async () => {
    const user = await signedUp(server)
    await server.sql(`update auth.mfa_amr_claims set authentication_method = 'otp'
      where session_id in (select id from auth.sessions where user_id = $1)`, [user.id])
    await changed(user, { password: 'a-new-word' }, { where: strict })
  })

  test('a session that ends while the password is hashed changes none', async () => {
    const user = await signedUp(server)
    const other = await loggedIn(server, user)
    const [change] = await Promise.all([put(user, { password: 'a-new-word' }),
      server.auth('POST', '/logout?scope=global', { token: other.token })])
    const kept = (await login(user.email, password)).status
    assert.deepEqual([change.status, kept], change.status === 200 ? [200, 400] : [403, 200],
      change.text)
    const alive = await server.sql('select id from auth.sessions where user_id = $1', [user.id])
    assert.ok(alive.length <= 1)
  })

  test('two changes at once: one of them holds', async () => {
    const user = await signedUp(server)
    const words = ['first-new-word', 'second-new-word']
    const answers = await Promise.all(words.map((word) => put(user, { password: word })))
    for (const { status } of answers) assert.ok([200, 403, 409].includes(status), String(status))
    const works = await Promise.all(words.map((word) => login(user.email, word)))
    assert.equal(works.filter((a) => a.status === 200).length, 1)
  })
})

describe('reauthentication', () => {
  const codeFor = async (user) => {
    await age(user, 'reauthentication_sent_at')
    const answer = await strict.auth('GET', '/reauthenticate', { token: user.token })
    assert.equal(answer.status, 200, answer.text)
    assert.equal(answer.text, '{}')
    return (await mail.to(user.email)).otp
  }
  const change = (user, more, version) => put(user,
    { password: 'a-new-word', current_password: password, ...more }, { where: strict, version })

  test('a session older than a day needs a code, which works once', async () => {
    const user = await signedUp(server)
    await oldSession(user)
    await refused((version) => change(user, {}, version), 400, 'reauthentication_needed',
      'Password update requires reauthentication')
    const nonce = await codeFor(user)
    assert.match(nonce, /^\d{6}$/)
    assert.ok((await get(user)).reauthentication_sent_at)
    const wrong = nonce === '000000' ? '000001' : '000000'
    await refused((version) => change(user, { nonce: wrong }, version), 422,
      'reauthentication_not_valid', 'Nonce has expired or is invalid')
    assert.equal((await change(user, { nonce })).status, 200)
    await refused((version) => change(user, { nonce, current_password: 'a-new-word', password: 'third-word' },
      version), 422, 'reauthentication_not_valid')
  })

  test('a code that is too old does not count; a young session needs none', async () => {
    const user = await signedUp(server)
    const nonce = await codeFor(user)
    await oldSession(user)
    await server.sql(`update auth.users set reauthentication_sent_at = now() - interval '25 hours'
      where id = $1`, [user.id])
    await refused((version) => change(user, { nonce }, version), 422, 'reauthentication_not_valid')
    assert.equal((await change(await loggedIn(server, user), {})).status, 200)
  })

  test('refusals', async () => {
    const user = await signedUp(server)
    await codeFor(user)
    const again = await strict.auth('GET', '/reauthenticate', { token: user.token })
    assert.match(again.headers['retry-after'], /^[1-6]?\d$/)
    await refused((version) => strict.auth('GET', '/reauthenticate', { token: user.token, version }),
      429, 'over_email_send_rate_limit', /^For security purposes, you can only request this after \d+ seconds\.$/)
    const nobody = await anonymous()
    await refused((version) => server.auth('GET', '/reauthenticate', { token: nobody.token, version }),
      400, 'validation_failed')
    for (const [change, status, code] of [
      ['email_confirmed_at = null', 422, 'email_not_confirmed'],
      [`email = null, phone = '15559990${process.pid % 1000}', phone_confirmed_at = null`, 422,
        'phone_not_confirmed'],
      ['phone_confirmed_at = now()', 400, 'phone_provider_disabled']]) {
      await server.sql(`update auth.users set ${change} where id = $1`, [user.id])
      await refused((version) => server.auth('GET', '/reauthenticate', { token: user.token, version }),
        status, code)
    }
    await refused((version) => server.auth('GET', '/reauthenticate', { version }), 403, 'bad_jwt')
  })
})

describe('address', () => {
  const tokens = (user) => server.sql(`select token_type::text as type, relates_to, token_hash
    from auth.one_time_tokens where user_id = $1 order by 1`, [user.id])

  test('stays until both addresses have confirmed: each is asked', async () => {
    const user = await signedUp(server)
    const wanted = email('wanted')
    const shown = await changed(user, { email: wanted.toUpperCase() })
    assert.deepEqual([shown.email, shown.new_email], [user.email, wanted])
    assert.ok(shown.email_change_sent_at)
    const [toNew, toOld] = [await mail.to(wanted), await mail.to(user.email)]
    assert.deepEqual([toNew.subject, toOld.subject], Array(2).fill('Confirm your new email address'))
    const rows = await tokens(user)
    assert.deepEqual(rows.map((r) => [r.type, r.relates_to]),
      [['email_change_token_new', wanted], ['email_change_token_current', user.email]]
        .sort(([a], [b]) => (a < b ? -1 : 1)))
    assert.equal(await column(user, 'email_change_confirm_status'), 0)
    for (const [letter, name] of [[toNew, 'email_change_token_new'], [toOld, 'email_change_token_current']]) {
      const link = new URL(letter.link)
      assert.equal(link.searchParams.get('type'), 'email_change')
      assert.equal(link.searchParams.get('token'), await column(user, name))
    }
    assert.notEqual(toNew.link, toOld.link)
    assert.equal((await login(user.email, password)).status, 200)
  })

  test('with single confirmation the new one alone is asked, and an older wish is void', async () => {
    const single = await server.beside({ smtp_url: mail.url, mailer_autoconfirm: 'true' },
      { env: { GOTRUE_MAILER_SECURE_EMAIL_CHANGE_ENABLED: 'false' } })
    const user = await signedUp(server)
    await changed(user, { email: email('first') })
    await age(user, 'email_change_sent_at')
    const wanted = email('second')
    await changed(user, { email: wanted }, { where: single })
    await mail.to(wanted)
    assert.deepEqual((await tokens(user)).map((r) => r.type), ['email_change_token_new'])
    assert.equal(await column(user, 'email_change_token_current'), '')
  })

  test('with a password in the same request: the mails\' tokens are the new ones', async () => {
    const user = await signedUp(server)
    await changed(user, { email: email('both'), password: 'a-new-word' })
    assert.equal((await tokens(user)).length, 2)
    assert.equal((await login(user.email, 'a-new-word')).status, 200)
  })

  test('with PKCE the links are for a code; they lead where the app asked, if it may', async () => {
    const allowing = await server.beside({ smtp_url: mail.url, mailer_autoconfirm: 'true',
      uri_allow_list: 'https://app.example.org/**' })
    for (const [asked, led] of [['https://app.example.org/done', 'https://app.example.org/done'],
      ['https://evil.example.org/', allowing.api]]) {
      const user = await signedUp(server)
      const wanted = email('pkce')
      const answer = await allowing.auth('PUT', `/user?redirect_to=${encodeURIComponent(asked)}`, {
        token: user.token, json: { email: wanted, code_challenge_method: 's256',
          code_challenge: 'x'.repeat(43) } })
      assert.equal(answer.status, 200, answer.text)
      const link = new URL((await mail.to(wanted)).link)
      assert.match(link.searchParams.get('token'), /^pkce_[0-9a-f]{56}$/)
      assert.equal(link.searchParams.get('redirect_to'), led)
      assert.deepEqual(await server.sql(`select authentication_method as m, code_challenge_method::text as c
        from auth.flow_state where user_id = $1`, [user.id]), [{ m: 'email_change', c: 's256' }])
      await refused((version) => put(user, { email: email(), code_challenge: 'short',
        code_challenge_method: 's256' }, { version }), 400, 'validation_failed')
      await refused((version) => put(user, { email: email(), code_challenge: 'x'.repeat(43) },
        { version }), 400, 'validation_failed')
    }
  })

  test('refusals change nothing', async () => {
    const [user, other] = [await signedUp(server), await signedUp(server)]
    await refused((version) => put(user, { email: other.email, data: { a: 1 } }, { version }), 422,
      'email_exists', 'A user with this email address has already been registered')
    await refused((version) => put(user, { email: 'nobody' }, { version }), 400, 'validation_failed',
      'Unable to validate email address: invalid format')
    assert.equal((await get(user)).user_metadata.a, undefined)
    await changed(user, { email: email('once') })
    await refused((version) => put(user, { email: email('twice'), data: { a: 1 } }, { version }), 429,
      'over_email_send_rate_limit', /^For security purposes/)
    assert.equal((await get(user)).user_metadata.a, undefined)
  })
})

describe('the order and the rest of the refusals', () => {
  test('a number: bad, taken, and nobody to send it to', async () => {
    const user = await signedUp(server)
    const taken = `1557${Math.floor(1e6 + Math.random() * 9e6)}`
    await server.service('POST', '/admin/users', { json: { phone: taken } })
    await refused((version) => put(user, { phone: '007' }, { version }), 400, 'validation_failed',
      'Invalid phone number format (E.164 required)')
    await refused((version) => put(user, { phone: `+${taken}` }, { version }), 422, 'phone_exists')
    await refused((version) => put(user, { phone: '15551230000', channel: 'pigeon' }, { version }), 400,
      'validation_failed', /^Invalid channel/)
    await refused((version) => put(user, { phone: '15551230000' }, { version }), 400,
      'phone_provider_disabled')
  })

  test('a user with a second factor needs it', async () => {
    const user = await signedUp(server)
    await server.sql(`insert into auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at)
      values (gen_random_uuid(), $1, 'totp', 'verified', now(), now())`, [user.id])
    for (const json of [{ password: 'a-new-word' }, { email: email() }, { phone: '15551230001' }])
      await refused((version) => put(user, json, { version }), 401, 'insufficient_aal')
    await changed(user, { data: { a: 1 }, email: user.email })
    await server.sql(`update auth.sessions set aal = 'aal2' where user_id = $1`, [user.id])
    await changed(user, { password: 'a-new-word' })
  })

  test('a user of single sign-on is managed there', async () => {
    const user = await signedUp(server)
    await server.sql('update auth.users set is_sso_user = true where id = $1', [user.id])
    for (const json of [{ password: 'a-new-word' }, { email: email() }, { phone: '15551230001' },
      { nonce: '123456' }])
      await refused((version) => put(user, json, { version }), 422, 'user_sso_managed')
    await changed(user, { data: { a: 1 } })
  })

  test('the first of several faults is told', async () => {
    const [user, other] = [await signedUp(server), await signedUp(server)]
    const faults = [
      [{ email: 'x' }, 400, 'validation_failed'], [{ password: 'x' }, 422, 'weak_password'],
      [{ app_metadata: {} }, 403, 'not_admin'], [{ email: other.email }, 422, 'email_exists'],
      [{ password: 'a-new-word' }, 400, 'current_password_required']]
    for (let i = 0; i < faults.length; i++) {
      const json = Object.assign({}, ...faults.slice(i).reverse().map(([part]) => part))
      await refused((version) => put(user, json, { where: strict, version }), faults[i][1], faults[i][2])
    }
  })

  test('no token, an ended session, a banned user', async () => {
    await refused((version) => server.auth('PUT', '/user', { json: {}, version }), 403, 'bad_jwt')
    const user = await signedUp(server)
    await server.auth('POST', '/logout', { token: user.token })
    await refused((version) => put(user, {}, { version }), 403, 'session_not_found')
    const other = await signedUp(server)
    await server.service('PUT', `/admin/users/${other.id}`, { json: { ban_duration: '1h' } })
    await refused((version) => put(other, {}, { version }), 403, 'user_banned')
  })
})

describe('an anonymous user becomes a permanent one', () => {
  test('at once where addresses are confirmed at once', async () => {
    const user = await anonymous(server, { theme: 'dark' })
    const address = email('lasting')
    const shown = await changed(user, { email: address, password: 'a-first-word' })
    assert.equal(shown.id, user.id)
    assert.deepEqual([shown.email, shown.is_anonymous, shown.new_email], [address, false, undefined])
    assert.ok(shown.email_confirmed_at)
    assert.deepEqual(shown.app_metadata, { provider: 'email', providers: ['email'] })
    assert.equal(shown.user_metadata.theme, 'dark')
    assert.deepEqual(shown.identities.map((i) => [i.provider, i.identity_data.email_verified]),
      [['email', false]])
    const again = await login(address, 'a-first-word')
    assert.equal(again.json.user.id, user.id)
    assert.equal((await refreshed(server, user.refresh)).json.user.is_anonymous, false)
    assert.equal(mail.all(address).length, 0)
  })

  test('by mail elsewhere; until then they stay anonymous', async () => {
    const slow = await server.beside({ smtp_url: mail.url, mailer_autoconfirm: 'false' })
    const user = await anonymous(slow)
    const address = email('later')
    const shown = await changed(user, { email: address, password: 'a-first-word' }, { where: slow })
    assert.deepEqual([shown.email, shown.new_email, shown.is_anonymous], ['', address, true])
    assert.equal((await mail.to(address)).subject, 'Confirm your new email address')
    assert.equal((await login(address, 'a-first-word')).status, 400)
  })

  test('a password alone is refused, as is a taken address', async () => {
    const [user, other] = [await anonymous(), await signedUp(server)]
    await refused((version) => put(user, { password: 'a-first-word' }, { version }), 422,
      'validation_failed',
      'Updating password of an anonymous user without an email or phone is not allowed')
    await refused((version) => put(user, { email: other.email }, { version }), 422, 'email_exists')
    assert.equal((await get(user)).is_anonymous, true)
  })
})
