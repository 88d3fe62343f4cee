// SPDX-License-Identifier: Apache-2.0
// Mails that come back: links and codes of signup, sign-in, recovery, and what spends them.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { email, password, start } from '../lib/basalt.mjs'
import { claimsOf } from '../lib/jwt.mjs'
import { startMail } from '../lib/mail.mjs'
import { isRefusal, refused } from '../lib/refused.mjs'

const site = 'https://app.example.com'
let server, mail

before(async () => {
  mail = await startMail()
  server = await start({ settings: { rate_limits: 'off', smtp_url: mail.url, site_url: site,
    uri_allow_list: 'https://*.app.example.com/**', smtp_max_frequency: '0' } })
})

const signUp = async (address = email('verify'), more = {}, target = '/signup') => {
  const answer = await server.auth('POST', target, { json: { email: address, password, ...more } })
  assert.equal(answer.status, 200, answer.text)
  return { address, user: answer.json }
}

const confirmed = async () => {
  const { address } = await signUp()
  const { otp } = await mail.to(address)
  const answer = await server.auth('POST', '/verify', { json: { type: 'signup', email: address, token: otp } })
  assert.equal(answer.status, 200, answer.text)
  return { address, session: answer.json }
}

const opened = (link, options) => server.call(link.replace(server.api, ''), options)
const tail = (answer) => new URLSearchParams(new URL(answer.headers.location).hash.slice(1))
const login = (address, word = password) =>
  server.auth('POST', '/token?grant_type=password', { json: { email: address, password: word } })

describe('signing up with a confirmation', () => {
  test('gives a user without a session, and a mail whose link confirms and logs in', async () => {
    const { address, user } = await signUp()
    assert.equal(user.access_token, undefined)
    assert.ok(user.confirmation_sent_at)
    assert.equal(user.email_confirmed_at, undefined)
    isRefusal(await login(address), { status: 400, code: 'email_not_confirmed', version: '2024-01-01' })
    const letter = await mail.to(address)
    const url = new URL(letter.link)
    assert.equal(url.pathname, '/auth/v1/verify')
    assert.deepEqual([url.searchParams.get('type'), url.searchParams.get('redirect_to')], ['signup', site])
    const answer = await opened(letter.link)
    assert.equal(answer.status, 303)
    assert.equal(new URL(answer.headers.location).origin, site)
    const names = [...tail(answer).keys()]
    assert.deepEqual(names, ['access_token', 'expires_at', 'expires_in', 'refresh_token', 'sb', 'token_type', 'type'])
    const claims = claimsOf(tail(answer).get('access_token'))
    assert.deepEqual([claims.sub, claims.amr[0].method, claims.user_metadata.email_verified],
      [user.id, 'otp', true])
    const me = await server.auth('GET', '/user', { token: tail(answer).get('access_token') })
    assert.equal(me.json.identities[0].identity_data.email_verified, true)
    assert.ok(me.json.email_confirmed_at)
    assert.equal((await login(address)).status, 200)
    const [audit] = await server.sql(`select string_agg(payload ->> 'action', ' ' order by created_at) as a
      from auth.audit_log_entries where payload ->> 'actor_id' = $1`, [user.id])
    assert.match(audit.a, /^user_confirmation_requested (user_signedup login|login user_signedup) login$/)
  })

  test('its link works once, and a HEAD spends nothing', async () => {
    const { address } = await signUp()
    const { link } = await mail.to(address)
    assert.equal((await opened(link, { method: 'HEAD' })).status, 405)
    assert.ok(tail(await opened(link)).get('access_token'))
    const again = await opened(link)
    assert.equal(again.status, 303)
    assert.deepEqual(Object.fromEntries(tail(again)), { error: 'access_denied', error_code: 'otp_expired',
      error_description: 'Email link is invalid or has expired', sb: '' })
  })

  test('its code works by POST, as signup and as email, and one success voids all tokens', async () => {
    for (const type of ['signup', 'email']) {
      const { address } = await signUp()
      const { otp, link } = await mail.to(address)
      assert.equal(otp.length, 6)
      const wrong = otp === '000000' ? '000001' : '000000'
      await refused((version) => server.auth('POST', '/verify', { version,
        json: { type, email: address, token: wrong } }), 403, 'otp_expired', 'Token has expired or is invalid')
      const answer = await server.auth('POST', '/verify', { json: { type, email: address.toUpperCase(), token: otp } })
      assert.equal(answer.status, 200, answer.text)
      assert.ok(answer.json.access_token)
      assert.equal(tail(await opened(link)).get('error_code'), 'otp_expired')
      const [{ n }] = await server.sql('select count(*)::int as n from auth.one_time_tokens where relates_to = $1',
        [address])
      assert.equal(n, 0)
    }
  })

  test('a token_hash works by POST', async () => {
    const { address } = await signUp()
    const token_hash = new URL((await mail.to(address)).link).searchParams.get('token')
    const answer = await server.auth('POST', '/verify', { json: { type: 'signup', token_hash } })
    assert.equal(answer.status, 200, answer.text)
    await refused((version) => server.auth('POST', '/verify', { version, json: { type: 'signup', token_hash } }),
      403, 'otp_expired', 'Email link is invalid or has expired')
  })

  test('of a known, unconfirmed address sends again; of a confirmed one answers alike and sends nothing', async () => {
    const { address, user } = await signUp()
    const first = await mail.to(address)
    const again = await signUp(address, { data: { name: 'changed' } })
    assert.equal(again.user.id, user.id)
    assert.equal(again.user.user_metadata.name, undefined)
    const second = await mail.to(address)
    assert.notEqual(second.link, first.link)
    assert.equal(tail(await opened(first.link)).get('error_code'), 'otp_expired')
    assert.ok(tail(await opened(second.link)).get('access_token'))
    const taken = await signUp(address, { data: { name: 'x' } })
    assert.notEqual(taken.user.id, user.id)
    assert.deepEqual([taken.user.identities, taken.user.role], [[], ''])
    assert.equal(mail.all(address).length, 2)
  })

  test('a signup that is rolled back sends nothing', async () => {
    await server.sql(`create function public.no_such() returns trigger language plpgsql as
      $$ begin raise exception 'no'; end $$`)
    await server.sql('create trigger no_such before insert on public.profiles for each row execute function public.no_such()')
    const address = email('rolled')
    try {
      assert.equal((await server.auth('POST', '/signup', { json: { email: address, password } })).status, 500)
    } finally {
      await server.sql('drop trigger no_such on public.profiles')
    }
    const other = await signUp()
    await mail.to(other.address)
    assert.equal(mail.all(address).length, 0)
  })

  test('a banned user gets no session by mail', async () => {
    const { address, user } = await signUp()
    const { link, otp } = await mail.to(address)
    await server.service('PUT', `/admin/users/${user.id}`, { json: { ban_duration: '1h' } })
    assert.equal(tail(await opened(link)).get('error_code'), 'user_banned')
    await refused((version) => server.auth('POST', '/verify', { version,
      json: { type: 'signup', email: address, token: otp } }), 403, 'user_banned', 'User is banned')
  })

  test('two who open the same link at once: one of them gets the session', async () => {
    const { address } = await signUp()
    const { link } = await mail.to(address)
    const answers = await Promise.all(Array.from({ length: 8 }, () => opened(link)))
    assert.equal(answers.filter((a) => tail(a).get('access_token')).length, 1)
  })
})

describe('redirects', () => {
  const targetOf = async (path) => {
    const { address } = await signUp(undefined, {}, path)
    return new URL((await mail.to(address)).link).searchParams.get('redirect_to')
  }

  test('lead to what is allowed, else to the site', async () => {
    const good = 'https://staging.app.example.com/welcome?x=1&y=2'
    assert.equal(await targetOf(`/signup?redirect_to=${encodeURIComponent(good)}`), good)
    for (const bad of ['https://evil.test/', 'https://app.example.com@evil.test/',
      'https://evil.test\\.app.example.com/', 'javascript:alert(1)', '//evil.test', 'https://a\n.app.example.com/'])
      assert.equal(await targetOf(`/signup?redirect_to=${encodeURIComponent(bad)}`), site)
  })

  test('keep the query of their target, and are checked again when the link is opened', async () => {
    const { address } = await signUp(undefined, {}, `/signup?redirect_to=${encodeURIComponent(
      'https://staging.app.example.com/in?next=%2Fhome')}`)
    const { link } = await mail.to(address)
    const forged = new URL(link)
    forged.searchParams.set('redirect_to', 'https://evil.test/')
    assert.ok((await opened(forged.href)).headers.location.startsWith(`${site}#access_token=`))
    const next = await signUp(undefined, {}, `/signup?redirect_to=${encodeURIComponent(
      'https://staging.app.example.com/in?next=%2Fhome')}`)
    const answer = await opened((await mail.to(next.address)).link)
    assert.ok(answer.headers.location.startsWith('https://staging.app.example.com/in?next=%2Fhome#access_token='))
  })

  test('a forged X-Forwarded-Host changes no link', async () => {
    const address = email('host')
    await server.call('/auth/v1/signup', { method: 'POST', headers: { apikey: server.keys.anon,
      'content-type': 'application/json', 'x-forwarded-host': 'evil.test', 'x-forwarded-proto': 'https' },
    body: JSON.stringify({ email: address, password }) })
    assert.ok((await mail.to(address)).link.startsWith(server.api))
  })
})

describe('links and codes to sign in with', () => {
  test('an unknown address is signed up and confirmed by its code', async () => {
    const address = email('otp')
    const answer = await server.auth('POST', '/otp', { json: { email: address, data: { name: 'Otto' } } })
    assert.deepEqual([answer.status, answer.json], [200, {}])
    const letter = await mail.to(address)
    assert.equal(letter.subject, 'Confirm your email address')
    const session = await server.auth('POST', '/verify', { json: { type: 'email', email: address, token: letter.otp } })
    assert.equal(session.status, 200, session.text)
    assert.equal(session.json.user.user_metadata.name, 'Otto')
    isRefusal(await login(address, ''), { status: 400, code: 'invalid_credentials', version: '2024-01-01' })
  })

  test('many who ask for one new address at once make one user', async () => {
    const address = email('crowd')
    const answers = await Promise.all(Array.from({ length: 6 }, () =>
      server.auth('POST', '/otp', { json: { email: address } })))
    for (const answer of answers) assert.equal(answer.status, 200, answer.text)
    assert.equal((await server.sql('select from auth.users where email = $1', [address])).length, 1)
    assert.equal((await server.sql('select from auth.one_time_tokens where relates_to = $1', [address])).length, 1)
  })

  test('a known address gets a link, by /otp and by /magiclink', async () => {
    const { address } = await confirmed()
    for (const path of ['/otp', '/magiclink']) {
      assert.deepEqual((await server.auth('POST', path, { json: { email: address } })).json, {})
      const letter = await mail.to(address)
      assert.equal(letter.subject, 'Your sign-in link')
      assert.equal(new URL(letter.link).searchParams.get('type'), 'magiclink')
      const answer = await opened(letter.link)
      assert.equal(tail(answer).get('type'), 'magiclink')
      assert.equal(claimsOf(tail(answer).get('access_token')).amr[0].method, 'otp')
    }
    await server.auth('POST', '/otp', { json: { email: address } })
    const { otp } = await mail.to(address)
    for (const type of ['magiclink', 'email']) {
      const answer = await server.auth('POST', '/verify', { json: { type, email: address, token: otp } })
      assert.equal(answer.status, type === 'magiclink' ? 200 : 403, answer.text)
    }
  })

  test('whoever may not be created is not', async () => {
    const address = email('nobody')
    await refused((version) => server.auth('POST', '/otp', { version,
      json: { email: address, create_user: false } }), 422, 'otp_disabled', 'Signups not allowed for otp')
    assert.equal((await server.sql('select from auth.users where email = $1', [address])).length, 0)
  })

  test('bad requests say so', async () => {
    const cases = [
      ['/otp', {}, 400, 'validation_failed', 'One of email or phone must be set'],
      ['/otp', { email: 'a@b.co', phone: '1' }, 400, 'validation_failed'],
      ['/otp', { email: 'a@b.co', channel: 'sms' }, 400, 'validation_failed'],
      ['/otp', { phone: '15550001' }, 400, 'phone_provider_disabled'],
      ['/otp', { email: 'nonsense' }, 400, 'validation_failed'],
      ['/otp', { email: 'a@b.co', code_challenge: 'x'.repeat(43) }, 400, 'validation_failed'],
      ['/otp', { email: 'a@b.co', code_challenge: 'x', code_challenge_method: 's256' }, 400, 'validation_failed'],
      ['/otp', { email: 'a@b.co', code_challenge: 'x'.repeat(43), code_challenge_method: 'md5' }, 400, 'validation_failed'],
      ['/magiclink', {}, 422, 'validation_failed'],
      ['/recover', {}, 400, 'validation_failed', 'Password recovery requires an email'],
      ['/recover', { email: 'nonsense' }, 400, 'validation_failed'],
      ['/resend', {}, 400, 'validation_failed'],
      ['/resend', { type: 'signup' }, 400, 'validation_failed', 'Type provided requires an email address'],
      ['/resend', { type: 'sms' }, 400, 'validation_failed', 'Type provided requires a phone number'],
      ['/resend', { type: 'sms', phone: '15550001' }, 400, 'phone_provider_disabled'],
      ['/resend', { type: 'signup', email: 'a@b.co', phone: '1' }, 400, 'validation_failed'],
      ['/verify', {}, 400, 'validation_failed', 'Verify requires a verification type'],
      ['/verify', { type: 'signup' }, 400, 'validation_failed'],
      ['/verify', { type: 'signup', token: '1', token_hash: '2' }, 400, 'validation_failed'],
      ['/verify', { type: 'signup', token_hash: '2', email: 'a@b.co' }, 400, 'validation_failed'],
      ['/verify', { type: 'signup', token: '123456' }, 400, 'validation_failed'],
      ['/verify', { type: 'nonsense', token: '123456', email: 'a@b.co' }, 400, 'validation_failed'],
      ['/verify', { type: 'signup', token: '123456', email: 'nonsense' }, 422, 'validation_failed', 'Invalid email format'],
      ['/verify', { type: 'signup', token: '123456', email: 'nobody@b.co' }, 403, 'otp_expired'],
      ['/verify', { type: 'signup', token: '123456', phone: '15550001' }, 403, 'otp_expired'],
    ]
    for (const [path, json, status, code, message] of cases)
      await refused((version) => server.auth('POST', path, { version, json }), status, code, message)
    for (const query of ['', 'type=signup', 'token=x'])
      isRefusal(await server.call(`/auth/v1/verify?${query}`), { status: 400, code: 'validation_failed' })
    const unknown = await server.call('/auth/v1/verify?type=nonsense&token=x')
    assert.equal(tail(unknown).get('error_code'), 'validation_failed')
    assert.equal(tail(unknown).get('error'), 'invalid_request')
  })
})

describe('recovery', () => {
  test('logs in by its link, and is answered alike for unknown addresses', async () => {
    const { address } = await confirmed()
    assert.deepEqual((await server.auth('POST', '/recover', { json: { email: email('unknown') } })).json, {})
    assert.deepEqual((await server.auth('POST', '/recover', { json: { email: address } })).json, {})
    const letter = await mail.to(address)
    assert.equal(letter.subject, 'Reset your password')
    const answer = await opened(letter.link)
    assert.equal(tail(answer).get('type'), 'recovery')
    assert.ok(tail(answer).get('access_token'))
  })

  test('confirms who was not confirmed: they have read the mail', async () => {
    const { address } = await signUp()
    await mail.to(address)
    await server.auth('POST', '/recover', { json: { email: address } })
    const { otp } = await mail.to(address)
    const answer = await server.auth('POST', '/verify', { json: { type: 'recovery', email: address, token: otp } })
    assert.ok(answer.json.user.email_confirmed_at)
  })

  test('tokens of other purposes are no use', async () => {
    const { address } = await confirmed()
    await server.auth('POST', '/recover', { json: { email: address } })
    const { otp, link } = await mail.to(address)
    for (const type of ['signup', 'email_change'])
      isRefusal(await server.auth('POST', '/verify', { json: { type, email: address, token: otp } }),
        { status: 403, code: 'otp_expired', version: '2024-01-01' })
    const other = new URL(link)
    other.searchParams.set('type', 'signup')
    assert.equal(tail(await opened(other.href)).get('error_code'), 'otp_expired')
  })
})

describe('resending', () => {
  test('a confirmation that is due, and nothing else', async () => {
    const { address } = await signUp()
    await mail.to(address)
    assert.deepEqual((await server.auth('POST', '/resend', { json: { type: 'signup', email: address } })).json, {})
    assert.ok(tail(await opened((await mail.to(address)).link)).get('access_token'))
    for (const known of [address, email('unknown')])
      for (const type of ['signup', 'email_change'])
        assert.deepEqual((await server.auth('POST', '/resend', { json: { type, email: known } })).json, {})
    assert.equal(mail.all(address).length, 2)
  })
})

describe('with other settings', () => {
  test('a mail of one purpose once a minute: 429 with Retry-After; strictly nobody is told', async () => {
    for (const enumeration_protection of ['wire', 'strict']) {
      const one = await start({ settings: { rate_limits: 'off', smtp_url: mail.url, enumeration_protection } })
      const address = email('often')
      const asked = (path, json, version = '2024-01-01') => one.auth('POST', path, { json, version })
      assert.equal((await asked('/signup', { email: address, password })).status, 200)
      const { otp } = await mail.to(address)
      const again = (version) => asked('/resend', { type: 'signup', email: address }, version)
      if (enumeration_protection === 'wire') {
        await refused(again, 429, 'over_email_send_rate_limit',
          /^For security purposes, you can only request this after \d+ seconds\.$/)
        const answer = await again()
        assert.ok(Number(answer.headers['retry-after']) > 30, answer.headers['retry-after'])
      } else {
        assert.deepEqual((await again()).json, {})
        assert.deepEqual((await asked('/otp', { email: email('none'), create_user: false })).json, {})
      }
      assert.equal((await asked('/verify', { type: 'signup', email: address, token: otp })).status, 200)
      assert.equal((await asked('/recover', { email: address })).status, 200)
      await mail.to(address)
      assert.equal((await asked('/recover', { email: address })).status, enumeration_protection === 'wire' ? 429 : 200)
      assert.equal(mail.all(address).length, 2)
      await one.close()
    }
  })

  test('strictly, signing up again too soon looks as if a mail had gone out', async () => {
    const one = await start({ settings: { rate_limits: 'off', smtp_url: mail.url, enumeration_protection: 'strict' } })
    const address = email('again')
    const asked = () => one.auth('POST', '/signup', { json: { email: address, password } })
    const first = await asked()
    await mail.to(address)
    const second = await asked()
    assert.deepEqual([second.status, second.json.id], [200, first.json.id])
    assert.ok(second.json.confirmation_sent_at > first.json.confirmation_sent_at)
    const times = []
    for (const json of [{ email: address }, { email: email('none') }]) {
      const from = performance.now()
      assert.deepEqual((await one.auth('POST', '/recover', { json })).json, {})
      times.push(performance.now() - from)
    }
    assert.ok(Math.min(...times) >= 195, `${times}`)
    await one.close()
  })

  test('codes of an address are tried a few times from wherever, then not even the right one counts', async () => {
    const one = await start({ settings: { rate_limits: 'on', rate_limit_codes: '3', rate_limit_verify: '1000',
      smtp_url: mail.url } })
    const made = async () => {
      const address = email('guess')
      assert.equal((await one.auth('POST', '/signup', { json: { email: address, password } })).status, 200)
      return { address, ...await mail.to(address).then(({ otp, link }) => ({ otp, link })) }
    }
    const [victim, other] = [await made(), await made()]
    const tried = ({ address }, token, version = '2024-01-01') => one.auth('POST', '/verify',
      { version, json: { type: 'signup', email: address, token } })
    for (let i = 0; i < 3; i++) assert.equal((await tried(victim, String(100000 + i))).status, 403)
    await refused((version) => tried(victim, victim.otp, version), 429, 'over_request_rate_limit')
    const answer = await tried(victim, victim.otp)
    assert.ok(Number(answer.headers['retry-after']) > 0)
    assert.equal((await tried(other, other.otp)).status, 200)
    assert.ok(tail(await one.call(victim.link.replace(one.api, ''))).get('access_token'), 'the link still does')
    await one.close()
  })

  test('links and codes end after otp_exp; codes have otp_length digits', async () => {
    const one = await start({ settings: { rate_limits: 'off', smtp_url: mail.url, otp_exp: 1, otp_length: 8 } })
    const address = email('late')
    await one.auth('POST', '/signup', { json: { email: address, password } })
    const { otp, link } = await mail.to(address)
    assert.match(otp, /^\d{8}$/)
    await one.sql(`update auth.users set confirmation_sent_at = now() - interval '2 s' where email = $1`, [address])
    isRefusal(await one.auth('POST', '/verify', { json: { type: 'signup', email: address, token: otp } }),
      { status: 403, code: 'otp_expired', version: '2024-01-01' })
    assert.equal(tail(await one.call(link.replace(one.api, ''))).get('error_code'), 'otp_expired')
    await one.close()
  })

  test('no sign-in by mail, no signups, no e-mail at all', async () => {
    const one = await start({ settings: { rate_limits: 'off', magic_link_enabled: 'false', disable_signup: 'true',
      mailer_autoconfirm: 'false' } })
    const json = { email: email('off') }
    for (const path of ['/otp', '/magiclink'])
      await refused((version) => one.auth('POST', path, { version, json }), 422, 'email_provider_disabled',
        'Login with magic link is disabled')
    await refused((version) => one.auth('POST', '/signup', { version, json: { ...json, password } }), 422,
      'signup_disabled', 'Signups not allowed for this instance')
    await one.close()
    const two = await start({ settings: { rate_limits: 'off', email_enabled: 'false', disable_signup: 'true' } })
    await refused((version) => two.auth('POST', '/otp', { version, json }), 422, 'email_provider_disabled')
    for (const [path, more] of [['/recover', {}], ['/resend', { type: 'signup' }]])
      await refused((version) => two.auth('POST', path, { version, json: { ...json, ...more } }), 400,
        'email_provider_disabled', 'Email logins are disabled')
    await two.close()
    const three = await start({ settings: { rate_limits: 'off', disable_signup: 'true' } })
    await refused((version) => three.auth('POST', '/otp', { version, json }), 422, 'signup_disabled')
    await three.close()
  })

  test('addresses that are confirmed at once still get links to sign in', async () => {
    const one = await start({ settings: { rate_limits: 'off', smtp_url: mail.url, mailer_autoconfirm: 'true' } })
    const address = email('auto')
    assert.deepEqual((await one.auth('POST', '/otp', { json: { email: address } })).json, {})
    const letter = await mail.to(address)
    assert.equal(letter.subject, 'Your sign-in link')
    assert.ok(tail(await one.call(letter.link.replace(one.api, ''))).get('access_token'))
    await one.close()
  })

  test('mail_link_confirm=page: opening a link shows a page, its button spends the token', async () => {
    const one = await start({ settings: { rate_limits: 'off', smtp_url: mail.url, site_url: site,
      mail_link_confirm: 'page' } })
    const address = email('page')
    await one.auth('POST', '/signup', { json: { email: address, password } })
    const { link } = await mail.to(address)
    for (let scan = 0; scan < 3; scan++) {
      const page = await one.call(link.replace(one.api, ''))
      assert.equal(page.status, 200)
      assert.match(page.headers['content-type'], /^text\/html/)
      assert.match(page.headers['content-security-policy'], /^default-src 'none'; /)
      assert.doesNotMatch(page.text, /<script|https?:\/\/[^"<]*\.(js|css)/)
      assert.match(page.text, /<button type="submit"/)
    }
    const evil = await one.call('/auth/v1/verify?type=%22%3E%3Cscript%3E&token=%27%22%3E%3Cb%3E')
    assert.doesNotMatch(evil.text, /<script|<b>/)
    const form = (fields) => one.call('/auth/v1/verify?', { method: 'POST', body: new URLSearchParams(fields).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded' } })
    const token = new URL(link).searchParams.get('token')
    const answer = await form({ type: 'signup', token, redirect_to: 'https://evil.test/' })
    assert.equal(answer.status, 303)
    assert.ok(answer.headers.location.startsWith(`${site}#access_token=`))
    assert.equal(tail(await form({ type: 'signup', token, redirect_to: site })).get('error_code'), 'otp_expired')
    await one.close()
  })
})
